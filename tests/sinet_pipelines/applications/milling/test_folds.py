import numpy as np
import pytest

from sinet_pipelines.applications.milling.folds import FOLDS, require_both_classes, stratified_folds
from sinet_pipelines.errors import SourceError

FAILED = np.arange(200) % 20 == 0
PRODUCTS = np.array([f"L{number}" for number in range(200)])


def test_each_fold_has_its_share_of_failures():
    fold = stratified_folds(FAILED, PRODUCTS, seed=0)
    assert np.bincount(fold).tolist() == [40] * FOLDS
    assert np.bincount(fold[FAILED]).tolist() == [2] * FOLDS


def test_a_seed_gives_its_folds_again_and_another_one_others():
    one, same, other = (stratified_folds(FAILED, PRODUCTS, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_records_of_a_product_stay_together():
    product = np.repeat(PRODUCTS[:50], 4)
    fold = stratified_folds(np.repeat(np.arange(50) % 5 == 0, 4), product, seed=0)
    assert all(len(set(fold[product == name])) == 1 for name in np.unique(product))
    assert set(fold) == set(range(FOLDS))


@pytest.mark.parametrize(("failed", "said"), [(0, "0 of 40"), (9, "9 of 40"), (35, "35 of 40")])
def test_too_few_of_a_class_are_refused_in_one_sentence(failed, said):
    with pytest.raises(SourceError, match=f"{said} products have Machine failure 1 .*at least 10 of each"):
        require_both_classes(np.arange(40) < failed)


def test_ten_of_each_are_enough():
    failed = np.arange(20) < 10
    require_both_classes(failed)
    fold = stratified_folds(failed, PRODUCTS[:20], seed=0)
    assert [int(failed[fold == one].sum()) for one in range(FOLDS)] == [2] * FOLDS
