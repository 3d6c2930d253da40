"""Quantization: makes the graphs that may be served, and compares each with its source; class `model`."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from assets.framework.graphs import AGREEMENT, choose_graph, keep_graphs
from assets.framework.pictures import keep_pictures
from assets.framework.regional import here, once, per_region, regions_of
from assets.framework.registry import graph_ref
from assets.framework.reports import agreements_entry, entries_of, made
from assets.turbofan.candidates import regimes_of
from assets.turbofan.evaluated import evaluation_inputs, sequences_at, sequences_of_all
from assets.turbofan.evaluation import CANDIDATES
from assets.turbofan.features import newest_regimes
from assets.turbofan.graph_entrants import INT8, NETWORK, entrants_of, keep_int8, pareto_front
from assets.turbofan.keys import everywhere, global_key, regional_key
from assets.turbofan.lineage import sequences_of
from resources.deployment import Deployment
from resources.keys import Cadence
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.applications.turbofan.families import FAMILIES
from sinet_pipelines.applications.turbofan.features.regime_rows import rows_of_each_regime
from sinet_pipelines.applications.turbofan.features.sequences import (
    sequence_windows,
    sequences_from_table,
    sequences_to_table,
)
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.features import (
    CALIBRATION_SEQUENCES,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    MAX_RUL_CYCLES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import QuantizationError
from sinet_pipelines.features.splits import held_out
from sinet_pipelines.inventory.names import EAST, WEST
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.fingerprint import fingerprint

LIMITS = "quantization_keeps_its_limits"


@per_region
def calibration_sequences(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
    """The channels behind some rows of training engines, equally many from each operating regime.

    Class `sequence`: goes to WEST for calibration under the region's agreement, and nowhere else. Held-out engines
    are not included.
    """
    key, telemetry_key = regional_key(region, "calibration_sequences"), regional_key(region, "validated_telemetry")

    @dg.asset(
        key=key,
        deps=[telemetry_key, global_key("operating_regimes")],
        metadata=entries_of(CALIBRATION_SEQUENCES, sources=sequences_of(telemetry_key)),
        **bind(
            region,
            cadence=Cadence.TRAINING,
            data_class=DataClass.SEQUENCE,
            reads=[deployment.region(EAST)],
            kinds={"deltalake"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables
        history = settled(tables.scan(VALIDATED_TELEMETRY).filter(pl.col("role") == "history").collect())
        taught = history.filter(~pl.col("unit").is_in(held_out(history["unit"].unique())))
        drawn = rows_of_each_regime(taught, newest_regimes(here(context, EAST)))
        sequences = sequences_to_table(sequence_windows(taught, at=drawn.select("unit", "cycle")), rows=drawn)
        written = tables.replace(CALIBRATION_SEQUENCES, pl.DataFrame(pl.from_arrow(sequences)))
        return made(context, written, entries={"engines": drawn["unit"].n_unique()})

    return asset


@once
def onnx_models(deployment: Deployment) -> dg.AssetsDefinition:
    """One ONNX graph of each candidate with all steps inside: from a raw window of 30 cycles to RUL and interval.

    Numbers keep the precision of training (trees compare in float64, networks multiply in float32). A graph that does
    not agree with its source fails here and never reaches the registry.
    """

    @dg.asset(
        key=global_key("onnx_models"),
        deps=[
            *(global_key(name) for name in CANDIDATES),
            global_key("evaluation_set"),
            *everywhere(deployment, "evaluation_sequences"),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                AGREEMENT,
                asset=global_key("onnx_models"),
                blocking=True,
                description="On every row of the evaluation each graph answers as the model it was made from, interval "
                "and all, within 0.0001 cycles.",
            )
        ],
        metadata=agreements_entry(deployment, EVALUATION_SEQUENCES, to=WEST),
        **bind(
            deployment.region(WEST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions,
            kinds={"onnx"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        from sinet_pipelines.applications.turbofan.graph.served import WindowPreparation, graph_rows_of
        from sinet_pipelines.quantization.agreement import check_agreement
        from sinet_pipelines.quantization.export import export
        from sinet_pipelines.training.candidate import load_model, newest_candidate

        east, west = here(context, EAST), here(context, WEST)
        rows = east.tables.read(EVALUATION_SET).sort("unit", "cycle")
        graph_rows = graph_rows_of(sequences_at(sequences_of_all(context), rows))
        found, graphs = {}, {}
        for name in CANDIDATES:
            candidate = newest_candidate(east.blobs, name)
            model = load_model(east.blobs, candidate, task=RUL, families=FAMILIES)
            preparation = WindowPreparation(regimes_of(east.blobs, candidate))
            graphs[name] = export(model, preparation=preparation, family=name, interval=candidate.interval)
            predicted = model.predict(evaluation_inputs(context, rows, candidate))
            answers = (predicted, *candidate.require_interval().around(predicted))
            for output, source in zip(RUL.outputs, answers, strict=True):
                found[name, output] = check_agreement(graphs[name], graph_rows, source, output=output)
        yield from keep_graphs(
            context,
            west.blobs,
            graphs,
            found,
            agreed=f"all {len(graph_rows)} rows agree within 0.0001 cycles, three answers of {len(graphs)} graphs",
            rows={"rows": len(graph_rows)},
            differences={
                f"{name}_max_difference_cycles": found[name, RUL.outputs[0]].max_abs_difference for name in CANDIDATES
            },
        )

    return asset


@once
def int8_model(deployment: Deployment) -> dg.AssetsDefinition:
    """The temporal convolution in INT8 (static, QDQ, weights by channel), calibrated on every operating regime.

    A graph that exceeds a limit fails here; others compete with the FP32 graphs on error, bytes and time.
    Trees and the average are not quantized: thresholds compare, they do not multiply.
    """

    @dg.asset(
        key=global_key("int8_model"),
        deps=[
            *(global_key(name) for name in ("onnx_models", NETWORK, "evaluation_set")),
            *everywhere(deployment, "calibration_sequences"),
            *everywhere(deployment, "evaluation_sequences"),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                LIMITS,
                asset=global_key("int8_model"),
                blocking=True,
                description="Against the FP32 graph it was made from: error at most 1 % more, 3 % in the worst region, "
                "weights at most 0.3 of the bytes, an answer at most twice the time. One that keeps "
                "them may still lose.",
            )
        ],
        metadata=agreements_entry(deployment, CALIBRATION_SEQUENCES, EVALUATION_SEQUENCES, to=WEST),
        **bind(
            deployment.region(WEST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions,
            kinds={"onnx"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        from sinet_pipelines.applications.turbofan.graph.served import graph_rows_of, quantize_by_regime
        from sinet_pipelines.quantization.trial import put_on_trial
        from sinet_pipelines.training.candidate import newest_candidate

        east, west = here(context, EAST), here(context, WEST)
        regimes = regimes_of(east.blobs, newest_candidate(east.blobs, NETWORK))
        drawn = pl.concat(here(context, region).tables.read(CALIBRATION_SEQUENCES) for region in regions_of(context))
        fp32 = west.blobs.get_ref(graph_ref(NETWORK))
        int8 = quantize_by_regime(fp32, sequences_from_table(drawn.to_arrow()), regimes=regimes)
        rows = east.tables.read(EVALUATION_SET).sort("unit", "cycle")
        verdict = put_on_trial(
            {"fp32": fp32, "int8": int8},
            graph_rows_of(sequences_at(sequences_of_all(context), rows)),
            task=RUL,
            true_B=np.minimum(rows["rul_cycles"].to_numpy(), MAX_RUL_CYCLES).astype(np.float64),
            region_B=rows["region"].to_numpy().astype(np.str_),
        )
        numbers = {name: round(float(value), 4) for name, value in verdict.numbers.items()}
        yield dg.AssetCheckResult(
            passed=verdict.passed, check_name=LIMITS, description=verdict.reason, metadata=numbers
        )
        if not verdict.passed:
            raise QuantizationError(
                f"{verdict.reason}; the champion continues to serve; train again or calibrate on more engines"
            )
        name, growth = keep_int8(west.blobs, int8, verdict), verdict.numbers["error_growth"]
        yield made(
            context,
            fingerprint(name, f"{growth:.6f}"),  # with other truth the same graph may have another verdict
            entries={
                "decision": verdict.reason,
                "bytes": len(int8),
                **{word: numbers[word] for word in ("error_growth", "weight_ratio", "size_ratio", "latency_ratio")},
                "calibration_rows": drawn.height,
                "sha256": name,
            },
        )

    return asset


@once
def served_graph(deployment: Deployment) -> dg.AssetsDefinition:
    """The graph to serve: the one with the least out-of-fold error, or its INT8 form where that is faster.

    All graphs are timed in turns, one row a call, on one thread. The page marks the Pareto front: graphs that no other
    graph beats in error, bytes and time at once.
    """

    @dg.asset(
        key=global_key("served_graph"),
        deps=[
            global_key("onnx_models"),
            global_key("int8_model"),
            *(global_key(name) for name in CANDIDATES),
            *everywhere(deployment, "evaluation_sequences"),
        ],
        metadata=agreements_entry(deployment, EVALUATION_SEQUENCES, to=WEST),
        **bind(
            deployment.region(WEST),
            cadence=Cadence.TRAINING,
            data_class=DataClass.MODEL,
            reads=deployment.regions,
            kinds={"onnx"},
        ),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.applications.turbofan.graph.served import graph_rows_of
        from sinet_pipelines.quantization.footprint import footprints

        east, west = here(context, EAST), here(context, WEST)
        graphs = {name: west.blobs.get_ref(graph_ref(name)) for name in (*CANDIDATES, INT8)}
        costs = footprints(graphs, graph_rows_of(sequences_of_all(context)), output=RUL.outputs[0])
        entrants = entrants_of(east.blobs, west.blobs, costs)
        choice = choose_graph(west.blobs, entrants, score="rmse_cycles")
        return made(
            context,
            choice.version(west.blobs, graphs),
            entries={
                "decision": choice.decision,
                "graphs": shown(choice.costs(heading="RMSE out of fold", digits=2)),
                "what_became_of_them": shown(choice.reasons),
                "front": ", ".join(choice.competition.front),
                **keep_pictures(
                    west.blobs, "graphs", {"pareto": pareto_front(entrants, chosen=choice.competition.chosen)}
                ),
            },
        )

    return asset
