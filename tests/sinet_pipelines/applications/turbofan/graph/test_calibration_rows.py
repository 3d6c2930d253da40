import dataclasses

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.graph.calibration_rows import calibration_rows, last_regimes
from sinet_pipelines.errors import ContractError


def test_every_regime_has_equally_many_rows(sequences, regimes):
    rows = calibration_rows(sequences, regimes, rows_a_regime=10)
    counts = np.bincount(last_regimes(rows, regimes), minlength=len(regimes))
    assert counts.tolist() == [10] * len(regimes)


def test_the_scarcest_regime_says_how_many(sequences, regimes):
    regime_B = last_regimes(sequences, regimes)
    few = np.flatnonzero(regime_B == 0)[:3]
    scarce = sequences.take(np.concatenate([few, np.flatnonzero(regime_B != 0)]))
    assert len(calibration_rows(scarce, regimes)) == 3 * len(regimes)


def test_youngest_and_oldest_are_among_them(sequences, regimes):
    rows = calibration_rows(sequences, regimes, rows_a_regime=4)
    assert rows.cycle_B.min() < 15
    assert rows.cycle_B.max() > 100


def test_the_order_of_rows_does_not_matter(sequences, regimes):
    shuffled = sequences.take(np.random.default_rng(0).permutation(len(sequences)))
    one, other = (calibration_rows(rows, regimes, rows_a_regime=5) for rows in (sequences, shuffled))
    assert one.unit == other.unit
    np.testing.assert_array_equal(one.window_BTC, other.window_BTC)


def test_a_missing_regime_is_refused_by_its_number(sequences, regimes):
    last = len(regimes) - 1
    without = sequences.take(last_regimes(sequences, regimes) != last)
    with pytest.raises(ContractError, match=f"no calibration row in operating regime {last} of {len(regimes)}"):
        calibration_rows(without, regimes)


def test_a_row_whose_asked_cycle_is_absent_calibrates_nothing(sequences, regimes):
    window = sequences.window_BTC.copy()
    window[::2, -1, 7] = np.nan
    rows = calibration_rows(dataclasses.replace(sequences, window_BTC=window), regimes)
    assert np.isfinite(rows.window_BTC[:, -1]).all()
