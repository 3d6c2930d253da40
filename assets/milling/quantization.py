"""Quantization: from fitted models to graphs for serving, each compared with its source; class `model`.

Trees are not quantized, because they compare with thresholds and do not multiply. The served graph has full precision.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

import dagster as dg

from assets.framework.regional import here, once
from assets.framework.registry import CHOICE, graph_ref
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
from sinet_pipelines.markdown import points, table
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint

AGREEMENT = "graphs_agree_with_their_sources"
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
        refused = [f"{name}, {output}: {one.reason}" for (name, output), one in found.items() if not one.passed]
        furthest = {
            f"{name}_max_difference": float(f"{found[name, FAILURE.outputs[0]].max_abs_difference:.2g}")
            for name in CANDIDATE_NAMES
        }
        summary = (
            "; ".join(refused) or f"all {len(graph_rows)} products agree within {TOLERANCE:g} in {len(graphs)} graphs"
        )
        yield dg.AssetCheckResult(
            passed=not refused,
            check_name=AGREEMENT,
            description=summary,
            metadata={"products": len(graph_rows), **furthest},
        )
        for one in found.values():
            one.require()
        blobs = {name: west.blobs.put(graph) for name, graph in graphs.items()}
        for name, blob in blobs.items():
            west.blobs.point(graph_ref(name), blob)
        yield made(
            context,
            fingerprint(*blobs.values()),
            entries={
                "agreement": summary,
                **{f"{name}_bytes": len(graph) for name, graph in graphs.items()},
                "sha256": shown(points(f"{name}: {blob}" for name, blob in blobs.items())),
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
        from sinet_pipelines.quantization.limits import Entrant, compete
        from sinet_pipelines.training.candidate import newest_candidate

        east, west = here(context, EAST), here(context, WEST)
        graphs = {name: west.blobs.get_ref(graph_ref(name)) for name in CANDIDATE_NAMES}
        costs = footprints(graphs, graph_rows_of(evaluated_records(context)), output=FAILURE.outputs[0])
        scores = {name: newest_candidate(east.blobs, name).score_out_of_fold for name in CANDIDATE_NAMES}
        entrants = [Entrant(name, scores[name], FAILURE.metric, costs[name]) for name in CANDIDATE_NAMES]
        competition = compete(entrants)
        rows = [
            {"name": one.name, "pr_auc": one.score, **asdict(one.footprint)}
            | {"reason": competition.reasons[one.name], "chosen": one.name == competition.chosen}
            for one in entrants
        ]
        west.blobs.point(CHOICE, west.blobs.put(json.dumps(rows, sort_keys=True).encode()))
        listed = [
            (row["name"], f"{row['pr_auc']:.3f}", f"{row['n_bytes'] / 1000:.0f}", f"{row['p50_us']:.0f}")
            for row in rows
        ]
        return made(
            context,
            fingerprint(competition.chosen, *(west.blobs.resolve(graph_ref(name)) for name in graphs)),
            entries={
                "decision": f"{competition.chosen}: {competition.reasons[competition.chosen]}",
                "int8": QUANTIZATION,
                "graphs": shown(table(("graph", "PR-AUC out of fold", "kB", "p50 us"), listed, numeric=(1, 2, 3))),
                "what_became_of_them": shown(points(f"{row['name']}: {row['reason']}" for row in rows)),
            },
        )

    return asset
