"""Quantization: fitted models in, the graphs they may be served as out, each checked against its source; class `model`."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.evaluation import CANDIDATES, evaluation_inputs, sequences_at, sequences_of_all
from assets.features import newest_regimes
from assets.lineage import sequences_of
from assets.regional import here, per_region
from assets.reports import agreements_entry, entries_of, made
from resources.keys import everywhere, global_key, regional_key
from resources.placement import bind
from resources.versions import fingerprint
from sinet_pipelines.regions import EAST, REGIONS, WEST, Region
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import CALIBRATION_SEQUENCES, EVALUATION_SEQUENCES, EVALUATION_SET
from sinet_pipelines.schemas.telemetry import VALIDATED_TELEMETRY

CODE_VERSION = "2"
AGREEMENT = "graphs_agree_with_their_sources"


def graph_ref(name: str) -> str:
    """The ref, among WEST's blobs, of the newest graph of this name that agrees."""
    return f"graphs/{name}"


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
    code_version=CODE_VERSION,
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
        code_version=CODE_VERSION,
        entries={
            "agreement": said,
            **{f"{name}_bytes": len(graph) for name, graph in graphs.items()},
            "sha256": dg.MetadataValue.md("\n".join(f"- {name}: `{blob}`" for name, blob in blobs.items())),
        },
    )
