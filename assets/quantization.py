"""Quantization: fitted models in, the graphs they may be served as out, each held against its source; class `model`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.evaluation import CANDIDATES, evaluation_inputs, sequences_at, sequences_of_all
from assets.features import newest_regimes
from assets.lineage import sequences_of
from assets.pictures import keep_pictures
from assets.regional import here, per_region
from assets.reports import agreements_entry, entries_of, made
from resources.keys import everywhere, global_key, regional_key
from resources.markdown import shown
from resources.placement import bind
from sinet_pipelines.errors import QuantizationError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.features.calibration import rows_of_each_regime
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.features.sequences import sequence_windows, sequences_from_table, sequences_to_table
from sinet_pipelines.features.splits import held_out
from sinet_pipelines.markdown import Markdown, points, table
from sinet_pipelines.regions import EAST, REGIONS, WEST, Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import (
    CALIBRATION_SEQUENCES,
    EVALUATION_SEQUENCES,
    EVALUATION_SET,
    MAX_RUL_CYCLES,
)
from sinet_pipelines.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.validation.doubt import settled

AGREEMENT = "graphs_agree_with_their_sources"
LIMITS = "quantization_keeps_its_limits"
NETWORK = "temporal_convolution"  # the candidate that has an INT8 form
INT8 = "temporal_convolution_int8"  # the name of that form's graph
LIMITS_KEPT = "verdicts/int8_model"  # the ref, among WEST's blobs, of how the newest INT8 graph kept its limits
CHOICE = "choices/served_graph"  # the ref, among WEST's blobs, of what became of each graph


def graph_ref(name: str) -> str:
    """The ref, among WEST's blobs, of the newest graph of this name that agrees."""
    return f"graphs/{name}"


@per_region
def calibration_sequences(region: Region) -> dg.AssetsDefinition:
    """The channels behind some rows of training engines, as many from each operating regime, as models are asked.

    Class `sequence`: goes to WEST for calibration under the region's agreement, and nowhere else. No engine that is
    kept for evaluation is among them.
    """
    key, telemetry_key = regional_key(region, "calibration_sequences"), regional_key(region, "validated_telemetry")

    @dg.asset(
        key=key,
        deps=[telemetry_key, global_key("operating_regimes")],
        metadata=entries_of(CALIBRATION_SEQUENCES, region, sources=sequences_of(telemetry_key)),
        **bind(region, data_class=DataClass.SEQUENCE, reads=[EAST], kinds={"deltalake"}),
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


@dg.asset(
    key=global_key("onnx_models"),
    deps=[
        *(global_key(name) for name in CANDIDATES),
        global_key("evaluation_set"),
        *everywhere("evaluation_sequences"),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            AGREEMENT,
            asset=global_key("onnx_models"),
            blocking=True,
            description="On every row of the evaluation each graph answers as the model it was made from, interval and "
            "all, within 0.0001 cycles.",
        )
    ],
    metadata=agreements_entry(EVALUATION_SEQUENCES, to=WEST),
    **bind(WEST, data_class=DataClass.MODEL, reads=REGIONS, kinds={"onnx"}),
)
def onnx_models(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """One ONNX graph of each candidate with all inside: a raw window of 30 cycles in; cycles left and interval out.

    Numbers stay as they were trained (trees compare in float64, networks multiply in float32). A graph that does not
    agree with its source is refused here and never reaches the registry.
    """
    from sinet_pipelines.quantization.agreement import check_agreement
    from sinet_pipelines.quantization.export import export
    from sinet_pipelines.training.candidate import load_model, newest_candidate

    east, west = here(context, EAST), here(context, WEST)
    rows = east.tables.read(EVALUATION_SET).sort("unit", "cycle")
    sequences = sequences_at(sequences_of_all(context), rows)
    found, graphs = {}, {}
    for name in CANDIDATES:
        candidate = newest_candidate(east.blobs, name)
        model, regimes = load_model(east.blobs, candidate)
        graphs[name] = export(model, regimes=regimes, family=name, interval=candidate.interval)
        predicted = model.predict(evaluation_inputs(context, rows, candidate))
        lower, upper = candidate.interval.around(predicted)
        answers = {"rul_cycles": predicted, "lower_cycles": lower, "upper_cycles": upper}
        for output, source in answers.items():
            found[name, output] = check_agreement(graphs[name], sequences, source, output=output)
    refused = [f"{name}, {output}: {one.reason}" for (name, output), one in found.items() if not one.passed]
    furthest = {
        f"{name}_max_difference_cycles": float(f"{found[name, 'rul_cycles'].max_abs_difference_cycles:.2g}")
        for name in CANDIDATES
    }
    said = (
        "; ".join(refused)
        or f"all {len(sequences)} rows agree within 0.0001 cycles, three answers of {len(graphs)} graphs"
    )
    yield dg.AssetCheckResult(
        passed=not refused, check_name=AGREEMENT, description=said, metadata={"rows": len(sequences), **furthest}
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
            "agreement": said,
            **{f"{name}_bytes": len(graph) for name, graph in graphs.items()},
            "sha256": shown(points(f"{name}: {blob}" for name, blob in blobs.items())),
        },
    )


@dg.asset(
    key=global_key("int8_model"),
    deps=[
        *(global_key(name) for name in ("onnx_models", NETWORK, "evaluation_set")),
        *everywhere("calibration_sequences"),
        *everywhere("evaluation_sequences"),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            LIMITS,
            asset=global_key("int8_model"),
            blocking=True,
            description="Against the FP32 graph it was made from: error at most 1 % more, 3 % in the worst region, "
            "weights at most 0.3 of the bytes, an answer at most twice the time. One that keeps them may still lose.",
        )
    ],
    metadata=agreements_entry(CALIBRATION_SEQUENCES, EVALUATION_SEQUENCES, to=WEST),
    **bind(WEST, data_class=DataClass.MODEL, reads=REGIONS, kinds={"onnx"}),
)
def int8_model(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """The temporal convolution in INT8 (static, QDQ, weights by channel), calibrated on every operating regime.

    A broken one is refused here; one that keeps its limits competes with the FP32 graphs on error, bytes and time.
    Trees and the average are not quantized: thresholds compare, they do not multiply.
    """
    from sinet_pipelines.quantization.int8 import quantize
    from sinet_pipelines.quantization.trial import put_on_trial
    from sinet_pipelines.training.candidate import newest_candidate

    east, west = here(context, EAST), here(context, WEST)
    candidate = newest_candidate(east.blobs, NETWORK)
    regimes = OperatingRegimes.from_json(east.blobs.get(candidate.regimes).decode())
    drawn = pl.concat(here(context, region).tables.read(CALIBRATION_SEQUENCES) for region in REGIONS)
    fp32 = west.blobs.get_ref(graph_ref(NETWORK))
    int8 = quantize(fp32, sequences_from_table(drawn.to_arrow()), regimes=regimes)
    rows = east.tables.read(EVALUATION_SET).sort("unit", "cycle")
    sequences = sequences_at(sequences_of_all(context), rows)
    verdict = put_on_trial(
        {"fp32": fp32, "int8": int8},
        sequences,
        true_B=np.minimum(rows["rul_cycles"].to_numpy(), MAX_RUL_CYCLES).astype(np.float64),
        region_B=rows["region"].to_numpy().astype(np.str_),
    )
    numbers = {name: round(float(value), 4) for name, value in verdict.numbers.items()}
    yield dg.AssetCheckResult(passed=verdict.passed, check_name=LIMITS, description=verdict.reason, metadata=numbers)
    if not verdict.passed:
        raise QuantizationError(f"{verdict.reason}; the champion goes on, train again or calibrate on more engines")
    name = west.blobs.put(int8)
    west.blobs.point(graph_ref(INT8), name)
    growth = verdict.numbers["error_growth"]
    kept = {"error_growth": growth, "reason": verdict.reason, "source": west.blobs.resolve(graph_ref(NETWORK))}
    west.blobs.point(LIMITS_KEPT, west.blobs.put(json.dumps(kept, sort_keys=True).encode()))
    yield made(
        context,
        fingerprint(name, f"{growth:.6f}"),  # other truth may judge the same graph otherwise
        entries={
            "decision": verdict.reason,
            "bytes": len(int8),
            **{word: numbers[word] for word in ("error_growth", "weight_ratio", "size_ratio", "latency_ratio")},
            "calibration_rows": drawn.height,
            "sha256": name,
        },
    )


@dg.asset(
    key=global_key("served_graph"),
    deps=[
        global_key("onnx_models"),
        global_key("int8_model"),
        *(global_key(name) for name in CANDIDATES),
        *everywhere("evaluation_sequences"),
    ],
    metadata=agreements_entry(EVALUATION_SEQUENCES, to=WEST),
    **bind(WEST, data_class=DataClass.MODEL, reads=REGIONS, kinds={"onnx"}),
)
def served_graph(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Which graph goes out: the one of the least out-of-fold error, or its INT8 form where that is faster.

    All graphs are timed in turns in one go, one row a call, on one thread; those that no other beats in error, bytes
    and time at once are the front.
    """
    from sinet_pipelines.pictures.charts import pareto
    from sinet_pipelines.quantization.footprint import footprints
    from sinet_pipelines.quantization.limits import Entrant, compete
    from sinet_pipelines.training.candidate import newest_candidate

    east, west = here(context, EAST), here(context, WEST)
    graphs = {name: west.blobs.get_ref(graph_ref(name)) for name in (*CANDIDATES, INT8)}
    costs = footprints(graphs, sequences_of_all(context))
    errors = {name: newest_candidate(east.blobs, name).rmse_out_of_fold for name in CANDIDATES}
    limits = json.loads(west.blobs.get_ref(LIMITS_KEPT))
    if limits["source"] != west.blobs.resolve(graph_ref(NETWORK)):
        raise QuantizationError(
            "the INT8 graph was made from an older network than the FP32 graph (they must be twins); materialise "
            "int8_model first"
        )
    quantized = Entrant(
        INT8,
        errors[NETWORK] * (1.0 + limits["error_growth"]),
        costs[INT8],
        source=NETWORK,
        verdict=Verdict(True, limits["reason"]),
    )
    entrants = [*(Entrant(name, errors[name], costs[name]) for name in CANDIDATES), quantized]
    competition = compete(entrants)
    costs_rows = [
        {"name": one.name, "rmse_cycles": one.rmse_cycles, **asdict(one.footprint)}
        | {"reason": competition.reasons[one.name], "chosen": one.name == competition.chosen}
        for one in entrants
    ]
    west.blobs.point(CHOICE, west.blobs.put(json.dumps(costs_rows, sort_keys=True).encode()))
    names, error, size, p50 = zip(*((one.name, *one.costs) for one in entrants), strict=True)
    plot = pareto(names, error, size, np.asarray(p50) / 1000, chosen=competition.chosen)
    return made(
        context,
        fingerprint(competition.chosen, *(west.blobs.resolve(graph_ref(name)) for name in graphs)),
        entries={
            "decision": f"{competition.chosen}: {competition.reasons[competition.chosen]}",
            "graphs": shown(_costs_table(costs_rows)),
            "what_became_of_them": shown(points(f"{row['name']}: {row['reason']}" for row in costs_rows)),
            "front": ", ".join(competition.front),
            **keep_pictures(west.blobs, "graphs", {"pareto": plot}),
        },
    )


def _costs_table(rows: list[dict[str, Any]]) -> Markdown:
    shown_rows = (
        (row["name"], f"{row['rmse_cycles']:.2f}", f"{row['n_bytes'] / 1000:.0f}", f"{row['p50_us']:.0f}")
        for row in rows
    )
    return table(("graph", "RMSE out of fold", "kB", "p50 us"), shown_rows, numeric=(1, 2, 3))
