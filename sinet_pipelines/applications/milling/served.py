"""How milling models are served: the physics in their graphs, the contract of requests, and rows as graph inputs.

The graph repeats `physics.py`, operation by operation in float64 and rounded to float32 at the end, so that served
features equal training features; a test compares the two on every row. Letters: B products, F features.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from sinet_pipelines.applications.milling.physics import (
    MAX_POWER_W,
    MAX_TOOL_LIFE_MIN,
    MIN_POWER_W,
    MIN_SPEED_RPM,
    MIN_TEMPERATURE_DIFFERENCE_K,
    OVERSTRAIN_LIMIT_MIN_NM,
    RAD_PER_S_OF_RPM,
    STEPS,
)
from sinet_pipelines.applications.milling.schemas import (
    FEATURE_NAMES,
    FEATURES,
    INPUT_NAMES,
    PROCESS_INPUTS,
    PRODUCT_TYPES,
)
from sinet_pipelines.deployment.request_contract import METADATA_KEY
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.signals import Signals
from sinet_pipelines.schemas.contract import Column

QUALITY = "quality_level"
#: The inputs of every graph, float32 (B, 1) each; the type of a product is its quality: 0 for L, 1 for M, 2 for H.
INPUTS = (QUALITY, *INPUT_NAMES[1:])
#: Why milling models have no INT8 version, as written in the card and the metadata.
QUANTIZATION = "none: trees branch on float64 thresholds, which have nothing to quantize"


@dataclass(frozen=True)
class ProcessPreparation:
    """Computes features from measured values within the graph (`quantization.signals.Preparation`)."""

    @property
    def inputs(self) -> Mapping[str, Sequence[int]]:
        """The six `INPUTS`."""
        return dict.fromkeys(INPUTS, (1,))

    @property
    def metadata(self) -> Mapping[str, str]:
        """The reason why nothing is quantized, and the contract of requests."""
        return {"quantization": QUANTIZATION, METADATA_KEY: request_contract()}

    def write(self, graph: GraphWriter) -> Signals:
        """The features; a product with a NaN or infinite value, or of an unknown quality, is not answerable."""
        levels = [
            graph.node("Equal", QUALITY, graph.constant(level, np.float32)) for level in range(len(PRODUCT_TYPES))
        ]
        is_known = graph.node("Or", graph.node("Or", levels[0], levels[1]), levels[2])
        quality = graph.node("Where", is_known, graph.cast(QUALITY, np.float64), _number(graph, 0.0))
        features = _write_features(graph, quality, *(_as_measured(graph, name) for name in INPUT_NAMES[1:]))
        sums = graph.node("ReduceSum", features, graph.constant([1], np.int64), keepdims=1)
        is_number = graph.node("Not", graph.node("IsNaN", graph.node("Sub", sums, sums)))  # also False for infinity
        return Signals(
            features=graph.cast(graph.cast(features, np.float32), np.float64),
            feature_names=FEATURE_NAMES,
            answerable=graph.node("And", is_known, is_number),
        )


def request_contract() -> str:
    """The contract of requests as JSON: every input is required, within the bounds of the contract of records."""
    (quality,) = (feature.column for feature in FEATURES if feature.column.name == QUALITY)
    columns = {column.name: [_bounds(column)] for column in (quality, *PROCESS_INPUTS[1:])}
    columns[QUALITY][0]["whole"] = True
    return json.dumps({"columns": columns, "needs": []}, sort_keys=True)


def graph_rows_of(records: pl.DataFrame) -> GraphRows:
    """Products as inputs of a served graph.

    Args:
        records: of the contract `VALIDATED_RECORDS`, or any with the product's name and the process inputs.
    """
    quality = np.array([PRODUCT_TYPES.index(kind) for kind in records["product_type"]], dtype=np.float32)
    columns = {QUALITY: quality, **{name: records[name].to_numpy() for name in INPUTS[1:]}}
    tensors = {name: np.asarray(values, dtype=np.float32)[:, None] for name, values in columns.items()}
    names = tuple(f"product {name}" for name in records["product_id"])
    return GraphRows(tensors, np.ones(records.height, dtype=bool), names)


def _bounds(column: Column) -> dict[str, Any]:
    found = {name: getattr(column, name) for name in ("name", "minimum", "maximum", "unit")}
    return {**found, "required": True}


def _as_measured(graph: GraphWriter, name: str) -> str:
    """`physics.as_measured` of an input."""
    steps = _number(graph, STEPS)
    return graph.node("Div", graph.node("Round", graph.node("Mul", graph.cast(name, np.float64), steps)), steps)


def _write_features(
    graph: GraphWriter, quality: str, air: str, process: str, speed: str, torque: str, wear: str
) -> str:
    """(B, F) float64 in the order of `FEATURE_NAMES`."""
    limits = graph.constant([OVERSTRAIN_LIMIT_MIN_NM[kind] for kind in PRODUCT_TYPES], np.float64)
    difference = graph.node("Sub", process, air)
    power = graph.node("Mul", graph.node("Mul", torque, speed), _number(graph, RAD_PER_S_OF_RPM))
    overstrain = graph.node("Mul", wear, torque)
    limit = graph.node("Gather", limits, graph.cast(quality, np.int64))
    too_cold, too_slow = _below(graph, difference, MIN_TEMPERATURE_DIFFERENCE_K), _below(graph, speed, MIN_SPEED_RPM)
    too_weak, too_strong = _below(graph, power, MIN_POWER_W), _above(graph, power, _number(graph, MAX_POWER_W))
    parts = {
        QUALITY: quality,
        "tool_life_share": graph.node("Div", wear, _number(graph, MAX_TOOL_LIFE_MIN)),
        "temperature_difference_k": difference,
        "power_w": power,
        "overstrain_min_nm": overstrain,
        "heat_dissipation_margin": graph.node("Min", too_cold, too_slow),
        "power_margin": graph.node("Max", too_weak, too_strong),
        "overstrain_margin": _above(graph, overstrain, limit),
    }
    return graph.node("Concat", *(parts[name] for name in FEATURE_NAMES), axis=1)


def _below(graph: GraphWriter, value: str, limit: float) -> str:
    return graph.node("Sub", _number(graph, 1.0), graph.node("Div", value, _number(graph, limit)))


def _above(graph: GraphWriter, value: str, limit: str) -> str:
    return graph.node("Sub", graph.node("Div", value, limit), _number(graph, 1.0))


def _number(graph: GraphWriter, value: float) -> str:
    return graph.constant(value, np.float64)
