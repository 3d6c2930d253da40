import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.features.scaled import scale_telemetry, scaled_sequences, scaled_windows
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows
from sinet_pipelines.applications.turbofan.schemas.features import SCALED_SENSORS
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import ContractError
from tests.sinet_pipelines.applications.turbofan.features.engines import engines

ROWS = engines(45, 70, 38, 60, regimes=3)
REGIMES = find_regimes(setting_cells(ROWS))
SCALED = scale_telemetry(ROWS, REGIMES)


def test_a_scaled_sensor_is_its_deviation_from_its_regime():
    z = REGIMES.standardise(ROWS.sort("unit", "cycle").select(CHANNELS).to_numpy())
    np.testing.assert_array_equal(SCALED.select(SCALED_SENSORS).to_numpy(), z.astype(np.float32))
    assert SCALED["regimes_version"].unique().to_list() == [REGIMES.version]


def test_laid_end_to_end_and_as_served_are_the_same():
    """What is trained on whole lives is asked with windows: both must say the same of every row, gaps and all."""
    gone = SCALED.with_row_index().filter(pl.col("index") % 11 != 3)
    kept = ROWS.sort("unit", "cycle").with_row_index().filter(pl.col("index") % 11 != 3)
    whole = scaled_sequences(gone, at=gone)
    served = scaled_windows(sequence_windows(kept, at=kept.select("unit", "cycle")), REGIMES)
    np.testing.assert_array_equal(whole.windows(), served.windows())
    np.testing.assert_array_equal(whole.baseline_BS, served.baseline_BS)
    np.testing.assert_array_equal(whole.cycle_B, served.cycle_B)


def test_no_window_reaches_into_another_engine():
    first = SCALED.filter(pl.col("cycle") == pl.col("cycle").min().over("unit"))
    windows = scaled_sequences(SCALED, at=first).windows()
    assert not windows[:, :-1].any()
    np.testing.assert_array_equal(windows[:, -1], first.select(SCALED_SENSORS).to_numpy())


def test_the_baseline_never_sees_a_later_cycle():
    unit = SCALED["unit"][0]
    engine = SCALED.filter(pl.col("unit") == unit)
    found = scaled_sequences(engine, at=engine).baseline_BS
    z = engine.select(SCALED_SENSORS).to_numpy().astype(np.float64)
    for row, cycle in enumerate(engine["cycle"]):
        np.testing.assert_allclose(found[row], z[: min(cycle, 10)].mean(axis=0), atol=1e-6)


def test_a_row_without_a_sequence_is_named():
    with pytest.raises(ContractError, match="no cycle 9999 of engine"):
        scaled_sequences(SCALED, at=pl.DataFrame({"unit": [SCALED["unit"][0]], "cycle": [9999]}))


def test_some_rows_are_the_rows_asked_for():
    whole = scaled_sequences(SCALED, at=SCALED)
    rows = np.array([40, 3])
    np.testing.assert_array_equal(whole.take(rows).windows(), whole.windows()[rows])
