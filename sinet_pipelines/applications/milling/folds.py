"""Stratified folds of products: equal shares of failures, and all records of a product in one fold."""

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import SourceError

FOLDS = 5
#: Every training part of a training part needs one failure a fold; a part has four fifths of the failures.
MIN_OF_A_CLASS = 2 * FOLDS


def stratified_folds(failed_B: NDArray[np.bool_], product_B: NDArray[np.str_], *, seed: int) -> NDArray[np.int64]:
    """The fold of each row, (B,) in [0, FOLDS); another seed shuffles otherwise.

    Products with several records are kept together, which makes the shares of failures only nearly equal.

    Args:
        failed_B: (B,) the label that is stratified.
        product_B: (B,) the group that no split cuts.
        seed: of the shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    is_grouped = len(np.unique(product_B)) < len(product_B)
    kind = StratifiedGroupKFold if is_grouped else StratifiedKFold
    splitter = kind(FOLDS, shuffle=True, random_state=seed)
    parts = splitter.split(np.zeros((len(failed_B), 1)), failed_B, product_B if is_grouped else None)
    fold_B = np.empty(len(failed_B), dtype=np.int64)
    for fold, (_, held_out) in enumerate(parts):
        fold_B[held_out] = fold
    return fold_B


def require_both_classes(failed_B: NDArray[np.bool_]) -> None:
    """Refuses a table on which folds within folds cannot be stratified.

    Raises:
        SourceError: fewer than `MIN_OF_A_CLASS` failures, or fewer products without one.
    """
    failed, sound = int(failed_B.sum()), int((~failed_B).sum())
    if min(failed, sound) < MIN_OF_A_CLASS:
        raise SourceError(
            f"{failed} of {failed + sound} products have Machine failure 1 and {sound} have 0 "
            f"(allowed: at least {MIN_OF_A_CLASS} of each); take a table with both outcomes"
        )
