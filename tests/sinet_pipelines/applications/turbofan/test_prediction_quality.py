"""Predictions against truth that arrived: the newest truth counts, limits are numbers, an absent interval is none."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.prediction_quality import quality_of, with_truth
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import FLEET_PREDICTIONS
from sinet_pipelines.applications.turbofan.schemas.monitoring import PREDICTION_QUALITY
from sinet_pipelines.storage.tables import empty, to_contract

KNOWN_AT = datetime(2026, 2, 1, tzinfo=UTC)


def predictions(answer, *, lower=None, upper=None, cycle=100):
    """One prediction an engine, U0, U1, ... at one cycle."""
    count = len(answer)
    columns = {
        "unit": [f"U{n}" for n in range(count)],
        "region": ["EAST"] * count,
        "cycle": [cycle] * count,
        "recorded_at": [KNOWN_AT - timedelta(days=1)] * count,
        "rul_cycles": [float(one) for one in answer],
        "lower_cycles": lower or [None] * count,
        "upper_cycles": upper or [None] * count,
        "model": ["turbofan_remaining_useful_life"] * count,
        "version": ["3"] * count,
    }
    return pl.DataFrame(pl.from_arrow(to_contract(pl.DataFrame(columns), FLEET_PREDICTIONS)))


def truth(left, *, cycle=100, known_at=KNOWN_AT):
    """What engines U0, U1, ... had left at one cycle."""
    count = len(left)
    columns = {
        "unit": [f"U{n}" for n in range(count)],
        "cycle": [cycle] * count,
        "rul_cycles": left,
        "known_at": [known_at] * count,
    }
    return pl.DataFrame(pl.from_arrow(to_contract(pl.DataFrame(columns), TRUTH_EVENTS)))


def measure(values, left, **interval):
    return quality_of(with_truth(predictions(values, **interval), truth(left)), predicted=len(values))


def test_error_and_bias_are_those_worked_by_hand():
    found = measure([13, 16, 30, 40, 50], [10, 20, 30, 40, 50])
    assert found.figures["rmse"] == pytest.approx(5**0.5)  # sqrt((9 + 16) / 5)
    assert found.figures["bias"] == pytest.approx(-0.2)  # (3 - 4) / 5
    assert found.faults == ()


def test_truth_is_capped_as_models_are_taught():
    assert measure([125], [300]).figures["rmse"] == 0


def test_of_a_revised_truth_the_newest_counts_whatever_the_order():
    first, revised = truth([10]), truth([40], known_at=KNOWN_AT + timedelta(days=2))
    for reported in (pl.concat([first, revised]), pl.concat([revised, first])):
        rows = with_truth(predictions([40]), reported)
        assert rows["true_cycles"].to_list() == [40.0]
        assert rows["known_at"].to_list() == [KNOWN_AT + timedelta(days=2)]


def test_truth_about_an_earlier_cycle_tells_what_was_left_at_the_prediction():
    rows = with_truth(predictions([25], cycle=110), truth([30], cycle=100))
    assert rows["true_cycles"].to_list() == [20.0]
    assert rows["late_cycles"].to_list() == [5.0]


def test_an_engine_that_flew_beyond_its_supposed_end_awaits_a_revised_truth():
    assert with_truth(predictions([25], cycle=131), truth([30], cycle=100)).is_empty()


def test_predictions_without_truth_wait_and_are_not_judged():
    found = quality_of(with_truth(predictions([1, 2]), empty(TRUTH_EVENTS)), predicted=2)
    assert (found.groups, found.waiting, found.figures) == (0, 2, {})
    assert found.faults == ()


def test_large_errors_and_bias_are_named_with_their_limits():
    found = measure([70, 80, 90, 100, 110], [40, 50, 60, 70, 80])
    assert found.faults == (
        "RMSE 30.0 cycles (allowed: 25)",
        "bias +30.0 cycles (allowed: 10 either way)",
    )


def test_a_few_engines_are_measured_and_not_judged():
    found = measure([100, 100], [10, 10])
    assert found.figures["rmse"] == 90
    assert found.faults == ()


def test_a_model_that_answers_no_number_is_named_by_its_engines():
    found = measure([10, float("nan"), 30], [10, 20, 30])
    assert found.faults == ("no number was predicted for U1",)


def test_absent_intervals_are_not_applicable():
    assert measure([10] * 6, [10] * 6).coverage is None


def test_coverage_counts_truths_inside_and_is_a_fault_outside_the_band_of_chance():
    found = [50.0] * 20
    close = measure(found, [45] * 20, lower=[40.0] * 20, upper=[60.0] * 20)
    assert (close.intervals, close.covered, close.coverage) == (20, 20, 1.0)
    assert close.faults == ()
    off = measure(found, [45] * 10 + [55] * 10, lower=[48.0] * 20, upper=[60.0] * 20)
    assert off.faults == ("10 of 20 intervals cover (allowed: 15 to 20)",)


def test_truth_above_the_cap_is_covered_by_an_interval_up_to_the_cap():
    found = measure([120.0], [300], lower=[100.0], upper=[125.0])
    assert found.covered == 1


def test_rows_are_those_of_the_contract():
    rows = with_truth(predictions([10, 20], lower=[1.0, None], upper=[30.0, None]), truth([10, 30]))
    assert to_contract(rows, PREDICTION_QUALITY).num_rows == 2
