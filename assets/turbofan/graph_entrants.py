"""The graphs that may be served: one of each candidate, and the INT8 form of the network."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assets.framework.evaluation import newest_candidates
from assets.framework.registry import graph_ref
from sinet_pipelines.applications.turbofan.families import CANDIDATE_NAMES
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import QuantizationError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.storage.blobs import BlobStore

if TYPE_CHECKING:
    from sinet_pipelines.quantization.footprint import Footprint
    from sinet_pipelines.quantization.limits import Entrant

NETWORK = "temporal_convolution"  # the candidate that has an INT8 form
INT8 = "temporal_convolution_int8"  # the name of that form's graph
LIMITS_KEPT = "verdicts/int8_model"  # the ref, among WEST's blobs, of the result of the newest INT8 graph


def keep_int8(blobs: BlobStore, int8: bytes, verdict: Verdict) -> str:
    """Stores the INT8 graph and the result of its limits, with the FP32 graph that it was made from.

    Args:
        blobs: of the region of graphs.
        int8: the graph.
        verdict: of its limits, which it keeps.

    Returns:
        The name of the graph's blob.
    """
    name = blobs.put(int8)
    blobs.point(graph_ref(INT8), name)
    kept = {
        "error_growth": verdict.numbers["error_growth"],
        "reason": verdict.reason,
        "source": blobs.resolve(graph_ref(NETWORK)),
    }
    blobs.point(LIMITS_KEPT, blobs.put(json.dumps(kept, sort_keys=True).encode()))
    return name


def entrants_of(trained: BlobStore, graphs: BlobStore, costs: "Mapping[str, Footprint]") -> "list[Entrant]":
    """The graphs that may be served: of every candidate, and the INT8 form of the network.

    Args:
        trained: blobs of the region of training.
        graphs: blobs of the region of graphs.
        costs: size and time of each graph.

    Raises:
        QuantizationError: the INT8 graph is not of the present network.
    """
    from sinet_pipelines.quantization.limits import Entrant

    errors = {name: one.score_out_of_fold for name, one in newest_candidates(trained, CANDIDATE_NAMES).items()}
    limits = json.loads(graphs.get_ref(LIMITS_KEPT))
    if limits["source"] != graphs.resolve(graph_ref(NETWORK)):
        raise QuantizationError(
            "the INT8 graph was made from an older network than the FP32 graph (they must be twins); materialise "
            "int8_model first"
        )
    quantized = Entrant(
        INT8,
        errors[NETWORK] * (1.0 + limits["error_growth"]),
        RUL.metric,
        costs[INT8],
        source=NETWORK,
        verdict=Verdict(True, limits["reason"]),
    )
    return [*(Entrant(name, errors[name], RUL.metric, costs[name]) for name in CANDIDATE_NAMES), quantized]


def pareto_front(entrants: "Sequence[Entrant]", *, chosen: str) -> bytes:
    """Error, size and time of all graphs as a chart.

    Args:
        entrants: the graphs.
        chosen: name of the one to serve.
    """
    from sinet_pipelines.pictures.charts import pareto

    names, error, size, p50_us = zip(*((one.name, *one.costs) for one in entrants), strict=True)
    return pareto(names, error, size, np.asarray(p50_us) / 1000, chosen=chosen)
