import numpy as np

from sinet_pipelines.applications.turbofan.features.regime_rows import rows_of_each_regime
from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.schemas.telemetry import SETTING_NAMES
from tests.sinet_pipelines.applications.turbofan.features.engines import engines

ROWS = engines(45, 70, 38, 60, regimes=3)
REGIMES = find_regimes(setting_cells(ROWS))


def test_every_regime_gives_as_many_rows():
    drawn = rows_of_each_regime(ROWS, REGIMES, of_each=5)
    counts = np.bincount(REGIMES.assign(drawn.select(SETTING_NAMES).to_numpy()), minlength=len(REGIMES))
    assert counts.tolist() == [5] * len(REGIMES)


def test_the_order_of_rows_draws_no_other_rows():
    shuffled = ROWS.sample(fraction=1.0, shuffle=True, seed=1)
    assert rows_of_each_regime(shuffled, REGIMES, of_each=3).equals(rows_of_each_regime(ROWS, REGIMES, of_each=3))


def test_a_regime_flown_less_often_gives_what_it_has():
    assert rows_of_each_regime(ROWS, REGIMES, of_each=10**6).height == ROWS.height
