"""Splits by engine: which engines are never trained on, and which fold an engine is in.

Rows of one engine are nearly copies of one another, so they never stand on both sides of a split. Every choice comes
from a digest of the engine's name alone: it needs no table, does not change when the fleet grows, and is the same for
every champion and challenger, which are therefore compared on engines that none of them has seen.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError

HELD_OUT_SHARE = 0.2  # of the history engines: enough to compare on, few enough to learn from the rest


def unit_fraction(unit: str, *, salt: str) -> float:
    """A number in [0, 1) that is the engine's own, evenly spread over engines.

    >>> round(unit_fraction("FD001-0001", salt="held-out"), 3)
    0.901
    """
    digest = hashlib.blake2b(f"{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def is_held_out(unit: str) -> bool:
    """Whether a history engine is kept for evaluation and never trained on."""
    return unit_fraction(unit, salt="held-out") < HELD_OUT_SHARE


def held_out(units: Iterable[str]) -> tuple[str, ...]:
    """Those of the engines that are kept for evaluation, sorted."""
    return tuple(sorted(unit for unit in set(units) if is_held_out(unit)))


def engine_folds(unit_B: NDArray[np.str_], *, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row: all rows of an engine in one, folds of equal numbers of engines but for one.

    Args:
        unit_B: (B,) engine of each row, in any order.
        folds: how many, from 2.
        seed: another seed shuffles the engines otherwise.

    Returns:
        (B,) in [0, folds).

    Raises:
        ContractError: when there are fewer engines than folds.
    """
    units, row_B = np.unique(unit_B, return_inverse=True)
    if not 2 <= folds <= len(units):
        raise ContractError(
            f"{folds} folds of {len(units)} engines (allowed: 2 to the engines there are); ask for fewer"
        )
    order = np.argsort([unit_fraction(str(unit), salt=f"fold-{seed}") for unit in units])
    fold_of_unit = np.empty(len(units), dtype=np.int64)
    fold_of_unit[order] = np.arange(len(units)) % folds
    return fold_of_unit[row_B]
