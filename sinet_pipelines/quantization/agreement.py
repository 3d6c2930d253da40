"""Says whether a served graph answers as the model it was made from, on every row asked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sinet_pipelines.errors import ContractError, DisagreementError
from sinet_pipelines.features.completeness import are_answerable
from sinet_pipelines.features.sequences import Sequences
from sinet_pipelines.quantization.session import answer, open_session

# An answer is a float32: below 128 cycles that alone is up to 3.8e-6 off. Trees are exact but for it (measured on all
# 75,043 rows of FD001 and FD003: 3.8e-6), a float32 net adds about 1e-5; what is more is another answer.
TOLERANCE_CYCLES = 1e-4


@dataclass(frozen=True)
class Agreement:
    """How far a graph is from its source.

    Attributes:
        n: rows compared.
        max_abs_difference_cycles: of all rows; NaN where an answer is no number or nothing was compared.
        worst_unit: engine of the row that is furthest off, or that has no answer; empty without rows.
        worst_cycle: its asked cycle; 0 without rows.
        passed: whether every row is within the tolerance.
        reason: the verdict in a sentence.
    """

    n: int
    max_abs_difference_cycles: float
    worst_unit: str
    worst_cycle: int
    passed: bool
    reason: str

    def require(self) -> None:
        """Goes on only when the graph agrees.

        Raises:
            DisagreementError: it does not.
        """
        if not self.passed:
            raise DisagreementError(self.reason)


def check_agreement(
    onnx_bytes: bytes,
    sequences: Sequences,
    source_predictions: ArrayLike,
    *,
    tolerance: float = TOLERANCE_CYCLES,
    output: str = "rul_cycles",
) -> Agreement:
    """Compares a graph's answers, by onnxruntime on one thread, with its source's on every row.

    On a row that is not answerable (`features.completeness.are_answerable`) the graph has to answer NaN, whatever its
    source computes.

    Args:
        onnx_bytes: the graph.
        sequences: B asked rows.
        source_predictions: (B,) what the source says of each, in cycles, clipped as the graph clips.
        tolerance: largest difference allowed on any row, in cycles.
        output: which of the graph's answers: `rul_cycles`, or an end of its interval.

    Raises:
        DisagreementError: the graph cannot be opened, has another signature, or no such answer.
        ContractError: there is not one source prediction a sequence.
    """
    source = np.asarray(source_predictions, dtype=np.float64).reshape(-1)
    if len(source) != len(sequences):
        raise ContractError(f"{len(source)} source predictions for {len(sequences)} sequences; give one each, in order")
    answers = answer(open_session(onnx_bytes), sequences)
    if output not in answers:
        raise DisagreementError(f"the graph has no answer {output} (has: {', '.join(answers)}); export it with one")
    served = answers[output].astype(np.float64)
    if not len(served):
        return Agreement(0, float("nan"), "", 0, passed=False, reason="no row to compare; give at least one sequence")
    with np.errstate(invalid="ignore"):  # infinity less infinity is no agreement either
        differences = np.where(
            are_answerable(sequences), np.abs(served - source), np.where(np.isnan(served), 0.0, np.inf)
        )
    worst = int(np.argmax(np.where(np.isfinite(differences), differences, np.inf)))
    unit, cycle = sequences.unit[worst], int(sequences.cycle_B[worst])
    n_off = int(np.sum(~(differences <= tolerance)))
    reason = f"all {len(served)} rows agree within {tolerance:g} cycles"
    if n_off:
        reason = (
            f"{n_off} of {len(served)} rows differ by more than {tolerance:g} cycles or have no number; worst: engine "
            f"{unit} at cycle {cycle}, graph {served[worst]:.7g}, source {source[worst]:.7g}; export the model again"
        )
    return Agreement(len(served), float(differences[worst]), unit, cycle, passed=not n_off, reason=reason)
