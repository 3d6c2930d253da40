import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.metrics.failure import average_precision, best_threshold, failure_errors

SCORED = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: any(failed for _, failed in rows)
)


@settings(deadline=None, max_examples=50)
@given(SCORED)
def test_average_precision_is_that_of_scikit_learn(rows):
    from sklearn.metrics import average_precision_score

    score, failed = np.array([row[0] for row in rows]) / 10, np.array([row[1] for row in rows])
    assert average_precision(score, failed) == pytest.approx(average_precision_score(failed, score))


@settings(deadline=None, max_examples=50)
@given(SCORED)
def test_no_other_threshold_has_a_greater_f1(rows):
    probability, failed = np.array([row[0] for row in rows]) / 10, np.array([row[1] for row in rows])

    def f1(threshold):
        return failure_errors(probability, probability >= threshold, failed).f1

    found = f1(best_threshold(probability, failed))
    assert found == pytest.approx(max(f1(value) for value in np.unique(probability)))


def test_decisions_are_counted_by_hand():
    errors = failure_errors([0.9] * 10, [1] * 5 + [0] * 5, [1, 1, 1, 1, 0, 1, 1, 0, 0, 0])
    assert (errors.precision, errors.recall, errors.f1) == pytest.approx((4 / 5, 4 / 6, 8 / 11))


def test_without_a_warning_or_a_failure_nothing_is_right():
    errors = failure_errors([0.1, 0.2], [0, 0], [0, 0])
    assert (errors.f1, errors.pr_auc, errors.precision, errors.recall) == (0.0, 0.0, 0.0, 0.0)


def test_a_score_that_knows_nothing_has_the_share_of_failures():
    rng = np.random.default_rng(0)
    failed = rng.random(20_000) < 0.03
    assert average_precision(rng.random(20_000), failed) == pytest.approx(0.03, abs=0.01)
