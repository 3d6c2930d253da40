"""Quantization: from fitted models to graphs for serving, each compared with its source; class `model`.

Trees are not quantized, because they compare with thresholds and do not multiply. The served graph has full precision.
"""

from collections.abc import Iterator

import dagster as dg

from assets.framework.graphs import AGREEMENT, choose_graph, keep_graphs
from assets.framework.regional import here, once
from assets.framework.registry import graph_ref
from assets.framework.reports import agreements_entry, made
from assets.milling.evaluation import evaluated_records
from assets.milling.keys import everywhere, global_key
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.applications.milling.families import CANDIDATE_NAMES, CANDIDATES
from sinet_pipelines.applications.milling.tables import EVALUATION_RECORDS
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.schemas.contract import DataClass

TOLERANCE = 1e-6  # of a probability: the rounding error of float32 is 3e-8


@once
def onnx_models(deployment: Deployment) -> dg.AssetsDefinition:
    """One ONNX graph of each candidate including the physics: from process values to probability and warning.

    A graph that does not agree with its source is rejected here and is never registered.
    """

    @dg.asset(
        key=global_key("onnx_models"),
        deps=[*(global_key(name) for name in CANDIDATE_NAMES), *everywhere(deployment, "evaluation_records")],
        check_specs=[
            dg.AssetCheckSpec(
                AGREEMENT,
                asset=global_key("onnx_models"),
                blocking=True,
                description="On every product of the evaluation each graph has the probability of the model it was "
                "made from, within 0.000001, and the same warning.",
            )
        ],
        metadata=agreements_entry(deployment, EVALUATION_RECORDS, to=WEST),
        **bind(
            deployment.region(WEST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions,
            kinds={"onnx"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        from sinet_pipelines.applications.milling.features import inputs_of, process_features
        from sinet_pipelines.applications.milling.served import ProcessPreparation, graph_rows_of
        from sinet_pipelines.quantization.agreement import check_agreement
        from sinet_pipelines.quantization.export import export
        from sinet_pipelines.training.candidate import load_model, newest_candidate

        east, west, records = here(context, EAST), here(context, WEST), evaluated_records(context)
        graph_rows, inputs = graph_rows_of(records), inputs_of(process_features(records))
        families = {family.name: family for family in CANDIDATES}
        found, graphs = {}, {}
        for name in CANDIDATE_NAMES:
            candidate = newest_candidate(east.blobs, name)
            decision = candidate.require_decision()
            model = load_model(east.blobs, candidate, task=FAILURE, families=families)
            graphs[name] = export(model, preparation=ProcessPreparation(), family=name, decision=decision)
            score_B = model.predict(inputs)
            for output, source in zip(
                FAILURE.outputs, (decision.probability(score_B), decision.is_warned(score_B)), strict=True
            ):
                found[name, output] = check_agreement(
                    graphs[name], graph_rows, source, output=output, tolerance=TOLERANCE
                )
        yield from keep_graphs(
            context,
            west.blobs,
            graphs,
            found,
            agreed=f"all {len(graph_rows)} products agree within {TOLERANCE:g} in {len(graphs)} graphs",
            rows={"products": len(graph_rows)},
            differences={
                f"{name}_max_difference": found[name, FAILURE.outputs[0]].max_abs_difference for name in CANDIDATE_NAMES
            },
        )

    return asset


@once
def served_graph(deployment: Deployment) -> dg.AssetsDefinition:
    """The graph for serving: the one with the greatest out-of-fold PR-AUC. Trees have no INT8 graph.

    All graphs are timed alternately in one process, one product per call, on one thread.
    """

    @dg.asset(
        key=global_key("served_graph"),
        deps=[
            *(global_key(name) for name in ("onnx_models", *CANDIDATE_NAMES)),
            *everywhere(deployment, "evaluation_records"),
        ],
        metadata=agreements_entry(deployment, EVALUATION_RECORDS, to=WEST),
        **bind(
            deployment.region(WEST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions,
            kinds={"onnx"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.milling.served import QUANTIZATION, graph_rows_of
        from sinet_pipelines.quantization.footprint import footprints
        from sinet_pipelines.quantization.limits import Entrant
        from sinet_pipelines.training.candidate import newest_candidate

        east, west = here(context, EAST), here(context, WEST)
        graphs = {name: west.blobs.get_ref(graph_ref(name)) for name in CANDIDATE_NAMES}
        costs = footprints(graphs, graph_rows_of(evaluated_records(context)), output=FAILURE.outputs[0])
        scores = {name: newest_candidate(east.blobs, name).score_out_of_fold for name in CANDIDATE_NAMES}
        entrants = [Entrant(name, scores[name], FAILURE.metric, costs[name]) for name in CANDIDATE_NAMES]
        choice = choose_graph(west.blobs, entrants, score="pr_auc")
        return made(
            context,
            choice.version(west.blobs, graphs),
            entries={
                "decision": choice.decision,
                "int8": QUANTIZATION,
                "graphs": shown(choice.costs(heading="PR-AUC out of fold", digits=3)),
                "what_became_of_them": shown(choice.reasons),
            },
        )

    return asset
