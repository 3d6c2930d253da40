"""Compares an INT8 graph with its FP32 source: runs both on the same rows, times them, and checks the limits."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.models.model import Floats
from sinet_pipelines.models.task import Task
from sinet_pipelines.quantization.footprint import footprints
from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.limits import Answers, judge_quantization
from sinet_pipelines.quantization.session import answer, open_session

FP32, INT8 = "fp32", "int8"


def put_on_trial(
    graphs: Mapping[str, bytes],
    graph_rows: GraphRows,
    *,
    task: Task,
    true_B: Floats,
    region_B: NDArray[np.str_],
    calls: int = 1000,
) -> Verdict:
    """Whether an INT8 graph is within its limits; false for one that cannot be opened.

    Args:
        graphs: ONNX of `fp32` and `int8`.
        graph_rows: rows of groups on which neither was fitted or calibrated; those not answerable are left out.
        task: the task; its first output is compared.
        true_B: truth of each, within the task's range.
        region_B: region of each row's group.
        calls: timed calls of each.

    Raises:
        DisagreementError: the FP32 graph cannot be opened.
        ContractError: there is no row.
    """
    output = task.outputs[0]
    fp32 = open_session(graphs[FP32], inputs=graph_rows.shapes, output=output)
    try:
        int8 = open_session(graphs[INT8], inputs=graph_rows.shapes, output=output)
    except DisagreementError as error:
        return Verdict(False, f"the INT8 graph is invalid: {error}")
    answerable_B = graph_rows.is_answerable_B
    graph_rows, true_B, region_B = graph_rows.take(answerable_B), true_B[answerable_B], region_B[answerable_B]
    fp32_B, int8_B = (answer(session, graph_rows)[output].astype(np.float64) for session in (fp32, int8))
    measured = footprints({name: graphs[name] for name in (FP32, INT8)}, graph_rows, output=output, calls=calls)
    answers = Answers(true_B, region_B, fp32_B=fp32_B, int8_B=int8_B)
    return judge_quantization(answers, task=task, fp32=measured[FP32], int8=measured[INT8])
