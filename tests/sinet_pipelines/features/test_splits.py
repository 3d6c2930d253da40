import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import group_folds, held_out, is_held_out

UNITS = [f"FD001-{number:04d}" for number in range(1, 1001)]


def test_a_fifth_of_the_engines_is_held_out():
    assert len(held_out(UNITS)) == pytest.approx(200, abs=4 * np.sqrt(1000 * 0.2 * 0.8))


def test_other_engines_change_no_engines_side():
    assert set(held_out(UNITS[:100])) == set(held_out(UNITS)) & set(UNITS[:100])
    assert all(is_held_out(unit) for unit in held_out(UNITS))


@given(lives=st.lists(st.integers(1, 9), min_size=2, max_size=40), folds=st.integers(2, 6), seed=st.integers(0, 9))
def test_no_engine_is_in_two_folds_and_folds_are_even(lives, folds, seed):
    unit_B = np.repeat(UNITS[: len(lives)], lives)
    if folds > len(lives):
        with pytest.raises(ContractError, match="request fewer"):
            group_folds(unit_B, folds=folds, seed=seed)
        return
    fold_B = group_folds(unit_B, folds=folds, seed=seed)
    pairs = set(zip(unit_B.tolist(), fold_B.tolist(), strict=True))
    assert len(pairs) == len(lives)
    sizes = np.bincount([fold for _, fold in pairs], minlength=folds)
    assert sizes.max() - sizes.min() <= 1


def test_the_order_of_rows_changes_no_fold():
    unit_B = np.repeat(UNITS[:20], 3)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_array_equal(
        group_folds(unit_B[order], folds=5, seed=1), group_folds(unit_B, folds=5, seed=1)[order]
    )


def test_another_seed_makes_other_folds():
    unit_B = np.array(UNITS[:50])
    assert (group_folds(unit_B, folds=5, seed=1) != group_folds(unit_B, folds=5, seed=2)).any()
