import numpy as np
import pytest

from sinet_pipelines.applications.milling.calibration import BINS, PlattScaling, calibration_table, fit_platt


@pytest.fixture
def overconfident():
    """(20000,) scores whose logit is twice that of the true probability, and the outcomes."""
    rng = np.random.default_rng(1)
    logit = rng.normal(-2.0, 1.5, 20_000)
    failed = rng.random(20_000) < 1.0 / (1.0 + np.exp(-logit))
    return 1.0 / (1.0 + np.exp(-2.0 * logit)), failed


def test_overconfident_scores_become_the_shares_that_fail(overconfident):
    score, failed = overconfident
    scaling = fit_platt(score, failed)
    assert scaling.slope == pytest.approx(0.5, abs=0.03)
    assert scaling.offset == pytest.approx(0.0, abs=0.1)
    for row in calibration_table(scaling(score), failed):
        chance = 4 * (row["predicted"] * (1 - row["predicted"]) / row["products"]) ** 0.5
        assert row["observed"] == pytest.approx(row["predicted"], abs=chance + 0.01)


def test_probabilities_keep_the_order_of_scores_even_at_0_and_1():
    found = PlattScaling(0.7, -1.0)(np.array([0.0, 1e-9, 0.2, 0.5, 1.0]))
    assert (np.diff(found) >= 0).all()
    assert np.isfinite(found).all()
    assert ((found > 0) & (found < 1)).all()


def test_scores_that_rank_the_wrong_way_are_not_turned_round(overconfident):
    score, failed = overconfident
    scaling = fit_platt(1.0 - score, failed)
    assert scaling.slope == 0.0
    assert scaling(np.array([0.3]))[0] == pytest.approx(failed.mean(), abs=1e-3)


def test_every_product_is_in_one_bin():
    probability = np.array([*BINS, 0.005, 0.3, 0.999])
    table = calibration_table(probability, np.zeros(len(probability), dtype=bool))
    assert sum(row["products"] for row in table) == len(probability)
    assert all(row["from"] <= row["predicted"] <= row["to"] for row in table)
