"""Puts an INT8 graph on trial: opened, asked the same as its FP32 source, timed beside it, judged by the limits."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.features.completeness import are_answerable
from sinet_pipelines.features.sequences import Sequences
from sinet_pipelines.models.model import Floats
from sinet_pipelines.quantization.footprint import footprints
from sinet_pipelines.quantization.limits import Answers, judge_quantization
from sinet_pipelines.quantization.session import answer, open_session

FP32, INT8 = "fp32", "int8"


def put_on_trial(
    graphs: Mapping[str, bytes],
    sequences: Sequences,
    *,
    true_B: Floats,
    region_B: NDArray[np.str_],
    calls: int = 1000,
) -> Verdict:
    """Whether an INT8 graph keeps its limits; one that cannot be opened does not.

    Args:
        graphs: ONNX of `fp32` and `int8`.
        sequences: B rows of engines that neither was fitted or calibrated on, each with its asked cycle; those that are
            not answerable are left out.
        true_B: cycles left at each, capped at 125.
        region_B: where each row's engine is.
        calls: timed calls of each.

    Raises:
        DisagreementError: the FP32 graph cannot be opened.
        ContractError: there is no row.
    """
    fp32 = open_session(graphs[FP32])
    try:
        int8 = open_session(graphs[INT8])
    except DisagreementError as error:
        return Verdict(False, f"the INT8 graph is none: {error}")
    answerable_B = are_answerable(sequences)
    sequences, true_B, region_B = sequences.take(answerable_B), true_B[answerable_B], region_B[answerable_B]
    fp32_B, int8_B = (answer(session, sequences)["rul_cycles"].astype(np.float64) for session in (fp32, int8))
    measured = footprints({name: graphs[name] for name in (FP32, INT8)}, sequences, calls=calls)
    answers = Answers(true_B, region_B, fp32_B=fp32_B, int8_B=int8_B)
    return judge_quantization(answers, fp32=measured[FP32], int8=measured[INT8])
