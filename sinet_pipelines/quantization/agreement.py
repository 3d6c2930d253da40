"""Decides whether a served graph predicts the same as its model, on every row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sinet_pipelines.errors import ContractError, DisagreementError
from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.session import answer, open_session

# A prediction is a float32: below 128 its rounding error is up to 3.8e-6. Trees have no other error (measured on all
# 75,043 rows of FD001 and FD003: 3.8e-6 cycles), a float32 network adds about 1e-5; a larger error is a fault.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Agreement:
    """The differences between a graph and its source.

    Attributes:
        n: rows compared.
        max_abs_difference: over all rows; NaN where a prediction is NaN or nothing was compared.
        worst: the row with the largest difference, or with NaN; empty without rows.
        passed: whether every row is within the tolerance.
        reason: the result in one sentence.
    """

    n: int
    max_abs_difference: float
    worst: str
    passed: bool
    reason: str

    def require(self) -> None:
        """Checks that the graph agrees.

        Raises:
            DisagreementError: it does not.
        """
        if not self.passed:
            raise DisagreementError(self.reason)


def check_agreement(
    onnx_bytes: bytes,
    graph_rows: GraphRows,
    source_predictions: ArrayLike,
    *,
    output: str,
    tolerance: float = TOLERANCE,
) -> Agreement:
    """Compares a graph's predictions, by onnxruntime on one thread, with its source's on every row.

    On a row that is not answerable the graph must return NaN, whatever its source computes.

    Args:
        onnx_bytes: the graph.
        graph_rows: B rows.
        source_predictions: (B,) the source's predictions, clipped as the graph clips.
        output: name of the graph's output.
        tolerance: largest difference allowed on any row, in the output's unit.

    Raises:
        DisagreementError: the graph cannot be opened, has other inputs, or no such output.
        ContractError: the number of source predictions differs from the number of rows.
    """
    source = np.asarray(source_predictions, dtype=np.float64).reshape(-1)
    if len(source) != len(graph_rows):
        raise ContractError(f"{len(source)} source predictions for {len(graph_rows)} rows; pass one for each, in order")
    session = open_session(onnx_bytes, inputs=graph_rows.shapes, output=output)
    served = answer(session, graph_rows)[output].astype(np.float64)
    if not len(served):
        return Agreement(0, float("nan"), "", passed=False, reason="no row to compare; pass at least one")
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is no agreement
        differences = np.where(
            graph_rows.is_answerable_B, np.abs(served - source), np.where(np.isnan(served), 0.0, np.inf)
        )
    worst = int(np.argmax(np.where(np.isfinite(differences), differences, np.inf)))
    n_off = int(np.sum(~(differences <= tolerance)))
    reason = f"all {len(served)} rows agree within {tolerance:g}"
    if n_off:
        reason = (
            f"{n_off} of {len(served)} rows differ by more than {tolerance:g} or are NaN; worst: "
            f"{graph_rows.names[worst]}, graph {served[worst]:.7g}, source {source[worst]:.7g}; export the model again"
        )
    return Agreement(len(served), float(differences[worst]), graph_rows.names[worst], passed=not n_off, reason=reason)
