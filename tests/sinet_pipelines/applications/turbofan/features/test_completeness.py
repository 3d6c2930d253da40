"""Which cycles a sequence lacks, and when they are too many."""

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.features.completeness import (
    absent_first_cycles,
    absent_window_cycles,
    cycle_ranges,
    shortfalls,
)
from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS


def sequences(cycle, absent):
    """One engine at a cycle with some cycles absent; cycles that were not flown are NaN."""
    flown = set(range(1, cycle + 1)) - set(absent)
    window = [cycle - 29 + place in flown for place in range(30)]
    first = [number in flown for number in range(1, 11)]
    there = np.where(np.array([*window, *first])[:, None], 1.0, np.nan).astype(np.float32) * np.ones(
        len(CHANNELS), np.float32
    )
    return Sequences(("A",), np.array([cycle], np.int32), there[None, :30], there[None, 30:])


def test_cycles_that_were_not_flown_are_not_absent():
    young = sequences(3, [])
    assert [len(found[0]) for found in (absent_first_cycles(young), absent_window_cycles(young))] == [0, 0]


def test_absent_cycles_are_named_by_their_number():
    found = sequences(60, [1, 4, 31, 59])
    assert absent_first_cycles(found)[0].tolist() == [1, 4]
    assert absent_window_cycles(found)[0].tolist() == [31, 59]


@pytest.mark.parametrize(
    ("cycle", "absent", "expected"),
    [
        (60, range(1, 6), None),
        (60, range(1, 7), "cycles 1-6 of its first 10"),
        (60, range(31, 41), None),
        (60, range(31, 42), "cycles 31-41 of its last 30"),
        (60, range(11, 31), None),
        (1, [], None),
        (4, [1, 2], "cycles 1-2 of its last 4"),
        (4, [1, 2, 3], "cycles 1-3 of its first 4 and cycles 1-3 of its last 4"),
    ],
)
def test_half_of_the_first_and_two_thirds_of_the_last_cycles_are_needed(cycle, absent, expected):
    assert shortfalls(sequences(cycle, absent)) == (expected,)


def test_many_ranges_are_cut_short():
    assert cycle_ranges(np.array([1, 3, 5, 7, 9, 11])) == "1, 3, 5, 7 and 2 more ranges"
    assert cycle_ranges(np.array([], np.int64)) == ""
