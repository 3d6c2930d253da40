"""Splits by group: which groups are held out from training, and which fold a group is in.

Rows of one group (an engine, a product) are nearly equal, so they are never on both sides of a split.
Every choice comes from a digest of the group's name alone. It needs no table, does not change when the table grows, and
is the same for every champion and challenger, which are therefore compared on groups that none was fitted on.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import ContractError

HELD_OUT_SHARE = 0.2  # of the history engines: enough for comparisons, and enough engines left for training


def unit_fraction(unit: str, *, salt: str) -> float:
    """A number in [0, 1) from the engine's name, evenly distributed over engines.

    >>> round(unit_fraction("FD001-0001", salt="held-out"), 3)
    0.901
    """
    digest = hashlib.blake2b(f"{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def is_held_out(unit: str) -> bool:
    """Whether a history engine is held out for evaluation."""
    return unit_fraction(unit, salt="held-out") < HELD_OUT_SHARE


def is_held_out_by(column: str) -> pl.Expr:
    """Whether the group that a column names is held out, for each row."""
    return pl.col(column).map_elements(is_held_out, return_dtype=pl.Boolean)


def held_out(units: Iterable[str]) -> tuple[str, ...]:
    """The held-out engines, sorted."""
    return tuple(sorted(unit for unit in set(units) if is_held_out(unit)))


def group_folds(unit_B: NDArray[np.str_], *, folds: int, seed: int, groups: str = "groups") -> NDArray[np.int64]:
    """The fold of each row: all rows of a group in one fold; numbers of groups differ by at most one.

    Args:
        unit_B: (B,) group of each row, in any order.
        folds: number of folds, from 2.
        seed: of the shuffle of groups.
        groups: the word for several groups, in messages.

    Returns:
        (B,) in [0, folds).

    Raises:
        ContractError: when there are fewer groups than folds.
    """
    units, row_B = np.unique(unit_B, return_inverse=True)
    if not 2 <= folds <= len(units):
        raise ContractError(
            f"{folds} folds of {len(units)} {groups} (allowed: 2 to the number of {groups}); request fewer"
        )
    order = np.argsort([unit_fraction(str(unit), salt=f"fold-{seed}") for unit in units])
    fold_of_unit = np.empty(len(units), dtype=np.int64)
    fold_of_unit[order] = np.arange(len(units)) % folds
    return fold_of_unit[row_B]


def stratified_folds(
    label_B: NDArray[np.bool_], group_B: NDArray[np.str_], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """The fold of each row, with nearly equal shares of the label in each fold.

    Groups with several rows stay together, so the shares are only nearly equal.

    Args:
        label_B: (B,) the label to stratify by.
        group_B: (B,) the group, which no split divides.
        folds: number of folds, from 2.
        seed: of the shuffle.

    Returns:
        (B,) in [0, folds).

    Raises:
        ContractError: a class has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    least = min(int(label_B.sum()), int((~label_B).sum()))
    if not 2 <= folds <= least:
        raise ContractError(
            f"{folds} folds of labels of which the rarer class has {least} rows (allowed: 2 to as many as it has); "
            "use more rows, or fewer folds"
        )
    is_grouped = len(np.unique(group_B)) < len(group_B)
    kind = StratifiedGroupKFold if is_grouped else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    fold_B = np.empty(len(label_B), dtype=np.int64)
    parts = splitter.split(np.zeros((len(label_B), 1)), label_B, group_B if is_grouped else None)
    for fold, (_, held) in enumerate(parts):
        fold_B[held] = fold
    return fold_B
