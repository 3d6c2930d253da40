import numpy as np
import pytest

from sinet_pipelines.applications.milling.families import BASELINES, BOOSTED_TREES, CANDIDATES, PublishedRules
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.metrics.failure import average_precision
from sinet_pipelines.models.model import Inputs


@pytest.mark.parametrize("family", [*CANDIDATES, *BASELINES], ids=lambda one: one.name)
def test_a_family_scores_far_better_than_by_chance_and_is_loaded_as_it_was(known, family):
    model = family.fit(known, seed=3)
    score_B = model.predict(known.inputs)
    assert ((score_B >= 0) & (score_B <= 1)).all()
    assert average_precision(score_B, known.truth_B == 1) > 10 * known.truth_B.mean()
    again = family.load(model.files(), task=FAILURE)
    np.testing.assert_array_equal(again.predict(known.inputs), score_B)


def test_a_greater_margin_or_more_wear_never_lowers_the_score_of_boosted_trees(known):
    model = BOOSTED_TREES.fit(known, seed=0)
    features_BF = known.inputs.features_BF
    base = np.median(features_BF, axis=0)
    for name in ("tool_life_share", "heat_dissipation_margin", "power_margin", "overstrain_margin"):
        place = FEATURE_NAMES.index(name)
        rows = np.tile(base, (50, 1))
        rows[:, place] = np.linspace(features_BF[:, place].min(), features_BF[:, place].max(), 50)
        assert (np.diff(model.predict(Inputs(rows.astype(np.float32), FEATURE_NAMES))) >= 0).all(), name


def test_published_rules_are_the_three_modes_that_have_limits(known, records):
    modes = records.select("heat_dissipation_failure", "power_failure", "overstrain_failure").to_numpy()
    found = PublishedRules().fit(known, seed=0).predict(known.inputs)
    np.testing.assert_array_equal(found == 1.0, modes.any(axis=1))
