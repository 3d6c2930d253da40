"""Quantization: a fitted model in, the one graph it is served as out, checked against its source; class `model`."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.evaluation import sequences_of_all
from assets.regional import here
from assets.reports import made
from resources.keys import everywhere, global_key
from resources.placement import bind
from sinet_pipelines.regions import EAST, REGIONS, WEST
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.features import EVALUATION_SET

CODE_VERSION = "1"
GRAPH = "graphs/gradient_boosting"  # the ref of the newest graph that agrees, among WEST's blobs
AGREEMENT = "graph_agrees_with_its_source"


@dg.asset(
    key=global_key("onnx_model"),
    deps=[global_key("gradient_boosting"), global_key("evaluation_set"), *everywhere("evaluation_sequences")],
    check_specs=[
        dg.AssetCheckSpec(
            AGREEMENT,
            asset=global_key("onnx_model"),
            blocking=True,
            description="On every row of the evaluation the graph answers as the model it was made from.",
        )
    ],
    code_version=CODE_VERSION,
    **bind(WEST, data_class=DataClass.MODEL, reads=REGIONS, kinds={"onnx"}),
)
def onnx_model(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """One ONNX graph with its pre- and post-processing inside: a raw window of 30 cycles in, cycles left out.

    Trees stay FP32. A graph that does not agree with its source is refused here and never reaches the registry.
    """
    from sinet_pipelines.quantization.agreement import check_agreement
    from sinet_pipelines.quantization.export import export
    from sinet_pipelines.training.candidate import load_model, newest_candidate
    from sinet_pipelines.training.labels import inputs_of

    east, west = here(context, EAST), here(context, WEST)
    candidate = newest_candidate(east.blobs, "gradient_boosting")
    model, regimes = load_model(east.blobs, candidate)
    graph = export(model, regimes=regimes, family=candidate.family)
    sequences = sequences_of_all(context)
    asked = pl.DataFrame({"unit": sequences.unit, "cycle": sequences.cycle_B})
    rows = asked.join(east.tables.read(EVALUATION_SET), on=["unit", "cycle"], how="left", maintain_order="left")
    agreement = check_agreement(graph, sequences, model.predict(inputs_of(rows)))
    yield dg.AssetCheckResult(
        passed=agreement.passed,
        check_name=AGREEMENT,
        description=agreement.reason,
        metadata={
            "rows": agreement.n,
            "max_abs_difference_cycles": float(f"{agreement.max_abs_difference_cycles:.2g}"),
        },
    )
    agreement.require()
    name = west.blobs.put(graph)
    west.blobs.point(GRAPH, name)
    yield made(
        context,
        name[:16],
        code_version=CODE_VERSION,
        entries={"bytes": len(graph), "sha256": name, "agreement": agreement.reason},
    )
