from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.cuts import cut_times, held_out_cuts, newest_truths
from sinet_pipelines.features.splits import held_out

UNITS = [f"FD001-{number:04d}" for number in range(1, 101)]


@pytest.mark.slow
@given(unit=st.text(min_size=1, max_size=12), life=st.integers(1, 400), n=st.integers(1, 20))
def test_cuts_are_different_cycles_before_the_last(unit, life, n):
    cuts = cut_times(unit, life=life, n=n)
    assert len(cuts) == len(set(cuts.tolist())) == min(n, life - 1)
    assert all(1 <= cycle < life for cycle in cuts)
    np.testing.assert_array_equal(cuts, np.sort(cuts))
    np.testing.assert_array_equal(cut_times(unit, life=life, n=n), cuts)


def test_cuts_fall_anywhere_in_a_life():
    cuts = np.concatenate([cut_times(f"unit {number}", life=101, n=8) for number in range(500)])
    counts = np.histogram(cuts, bins=10, range=(0.5, 100.5))[0]
    np.testing.assert_allclose(counts, 400, atol=4 * np.sqrt(400))


def test_only_held_out_engines_are_asked_about():
    failures = pl.DataFrame({"unit": UNITS, "cycle": [50] * 100})
    cuts = held_out_cuts(failures, n=3)
    assert tuple(cuts["unit"].unique().sort()) == held_out(UNITS)
    assert (cuts["cycle"] + cuts["rul_cycles"] == 50).all()
    assert len(cuts) == 3 * len(held_out(UNITS))


def test_another_engine_changes_no_others_questions():
    failures = pl.DataFrame({"unit": UNITS, "cycle": [50] * 100})
    fewer = held_out_cuts(failures.head(50))
    assert held_out_cuts(failures).join(fewer, on="unit", how="semi").equals(fewer)


def test_a_revised_truth_replaces_the_one_before_it_whatever_cycle_it_is_about():
    known = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 5, 4)]
    truth = pl.DataFrame({"unit": ["b", "b", "a"], "cycle": [90, 80, 10], "rul_cycles": [20, 25, 7], "known_at": known})
    assert newest_truths(truth).select("unit", "cycle", "rul_cycles").rows() == [("a", 10, 7), ("b", 80, 25)]
