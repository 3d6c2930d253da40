import numpy as np
import pytest

from sinet_pipelines.applications.milling.families import BASELINES, CANDIDATES, BoostedTrees, RandomForest
from sinet_pipelines.applications.milling.features import examples
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES
from sinet_pipelines.metrics.failure import average_precision

FAMILIES = {**CANDIDATES, **BASELINES}


@pytest.fixture(scope="module")
def known(records):
    return examples(records)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_scores_within_0_and_1_and_equally_with_an_equal_seed(known, name):
    one, two = (FAMILIES[name].fit(known, seed=3)(known.features_BF) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (len(known),)
    assert ((one >= 0) & (one <= 1)).all()
    assert average_precision(one, known.failed_B) > 10 * known.failed_B.mean()


def test_a_greater_margin_never_lowers_the_score_of_boosted_trees(known):
    score = BoostedTrees(trees=30).fit(known, seed=0)
    base = np.median(known.features_BF, axis=0)
    for name in ("tool_wear_min", "heat_dissipation_margin", "power_margin", "overstrain_margin"):
        place = FEATURE_NAMES.index(name)
        rows = np.tile(base, (50, 1))
        values = known.features_BF[:, place]
        rows[:, place] = np.linspace(values.min(), values.max(), 50)
        assert (np.diff(score(rows)) >= 0).all(), name


def test_published_rules_are_the_three_modes_that_have_limits(known, records):
    modes = records.select("heat_dissipation_failure", "power_failure", "overstrain_failure").to_numpy()
    found = FAMILIES["published_rules"].fit(known, seed=0)(known.features_BF)
    np.testing.assert_array_equal(found == 1.0, modes.any(axis=1))


def test_a_seed_changes_the_forest(known):
    one, two = (RandomForest(trees=5).fit(known, seed=seed)(known.features_BF) for seed in (0, 1))
    assert (one != two).any()
