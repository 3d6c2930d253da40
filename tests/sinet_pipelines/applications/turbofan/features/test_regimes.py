import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.features.regimes import (
    MIN_CELL_ROWS,
    OperatingRegimes,
    find_regimes,
    setting_cells,
)
from sinet_pipelines.applications.turbofan.schemas.features import SETTING_CELLS
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSOR_NAMES, SENSORS, SETTING_NAMES
from sinet_pipelines.errors import ContractError
from tests.sinet_pipelines.applications.turbofan.features.engines import SIX, engines

TWO = OperatingRegimes(  # scales of 1, one sensor that tells, twenty that are constant
    setting_scales=(1.0, 1.0, 1.0),
    centroids=((0.0, 0.0, 0.0), (10.0, 0.0, 0.0)),
    sensor_means=((500.0,) + (1.0,) * (len(SENSORS) - 1), (600.0,) + (1.0,) * (len(SENSORS) - 1)),
    sensor_sds=((2.0,) + (0.0,) * (len(SENSORS) - 1), (4.0,) + (0.0,) * (len(SENSORS) - 1)),
    row_counts=(10, 10),
)


def _row(altitude: float, sensor: float) -> list[float]:
    return [altitude, 0.0, 0.0, sensor] + [1.5] * (len(SENSORS) - 1)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_as_many_regimes_are_found_as_were_flown(n):
    regimes = find_regimes(setting_cells(engines(120, 150, 90, regimes=n)))
    assert len(regimes) == n
    centroids = np.asarray(regimes.centroids) * regimes.setting_scales
    np.testing.assert_allclose(centroids[np.lexsort(centroids.T[::-1])], SIX[:n], atol=0.02)


def test_moments_are_those_of_all_rows_of_the_regime():
    history = engines(120, 150, 90, regimes=6)
    regimes = find_regimes(setting_cells(history))
    channels = history.select(CHANNELS).to_numpy().astype(np.float32).astype(np.float64)
    nearest = np.abs(channels[:, None, 0] - SIX[None, :, 0]).argmin(axis=1)
    for regime, (mean, sd) in enumerate(zip(regimes.sensor_means, regimes.sensor_sds, strict=True)):
        rows = channels[nearest == regime, len(SETTING_NAMES) :]
        np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(sd[1:], rows[:, 1:].std(axis=0), rtol=1e-9)


def test_sharing_the_rows_out_among_regions_changes_nothing_but_last_digits():
    history = engines(200, 180, 220, 160, 190, regimes=6)
    whole = find_regimes(setting_cells(history))
    number = pl.col("unit").str.slice(-4).cast(pl.Int32)
    parts = [setting_cells(history.filter(number % 2 == remainder)) for remainder in (0, 1)]
    assert all(part["row_count"].min() >= MIN_CELL_ROWS for part in parts)
    shared = find_regimes(pl.concat(parts))
    assert len(shared) == 6
    np.testing.assert_allclose(shared.sensor_means, whole.sensor_means, rtol=1e-9)
    np.testing.assert_allclose(shared.sensor_sds, whole.sensor_sds, rtol=1e-6, atol=1e-12)


def test_neither_order_of_rows_nor_of_cells_changes_the_version():
    history = engines(120, 150, 90, regimes=6)
    cells = setting_cells(history)
    shuffled = setting_cells(history.sample(fraction=1.0, shuffle=True, seed=1))
    assert shuffled.equals(cells)
    assert find_regimes(cells.reverse()).version == find_regimes(cells).version


def test_live_engines_change_nothing():
    history, live = engines(120, 90), engines(200, seed=5, role="live")
    assert setting_cells(pl.concat([history, live])).equals(setting_cells(history))


def test_a_cell_of_few_rows_is_not_told():
    history = engines(120)
    lonely = history.head(MIN_CELL_ROWS - 1).with_columns(altitude_kft=pl.lit(30.0), unit=pl.lit("FD00X-0099"))
    assert setting_cells(pl.concat([history, lonely])).equals(setting_cells(history))


def test_a_stray_setting_is_no_regime():
    history = engines(900, 900)
    stray = history.head(MIN_CELL_ROWS).with_columns(altitude_kft=pl.lit(30.0), unit=pl.lit("FD00X-0099"))
    cells = setting_cells(pl.concat([history, stray]))
    assert cells["altitude_kft_mean"].max() == 30.0
    assert len(find_regimes(cells)) == 1


def test_cells_keep_their_contract():
    assert setting_cells(engines(60)).to_arrow().schema.names == SETTING_CELLS.schema.names


def test_no_cell_is_refused():
    with pytest.raises(ContractError, match="no cell of settings"):
        find_regimes(setting_cells(engines(60)).head(0))


def test_a_row_is_measured_by_the_nearest_regime():
    z = TWO.standardise([_row(1.0, 504.0), _row(9.0, 596.0)])
    np.testing.assert_array_equal(z[:, 0], [2.0, -1.0])


def test_a_row_between_two_regimes_belongs_to_the_first():
    assert TWO.assign([5.0, 0.0, 0.0]) == 0


def test_a_constant_sensor_has_no_deviation():
    np.testing.assert_array_equal(TWO.standardise(_row(0.0, 500.0))[1:], np.zeros(len(SENSORS) - 1))
    history = engines(80, 60)
    z = find_regimes(setting_cells(history)).standardise(history.select(CHANNELS).to_numpy())
    np.testing.assert_array_equal(z[:, 0], 0.0)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_row_with_anything_but_numbers_says_nothing(odd):
    assert np.isnan(TWO.standardise([_row(0.0, odd), _row(odd, 500.0)])).all()


def test_standardising_rounds_to_float32_first():
    row = np.array(_row(0.0, 500.0 + 1e-7))  # nearer to 500 than to the next float32
    assert TWO.standardise(row)[0] == 0.0


def test_json_gives_the_same_regimes_back():
    regimes = find_regimes(setting_cells(engines(120, 150, regimes=2)))
    again = OperatingRegimes.from_json(regimes.to_json())
    assert again == regimes
    assert again.version == regimes.version
    assert len(regimes.version) == 16
    assert len(regimes.sensor_means[0]) == len(SENSOR_NAMES)
