"""Rows to calibrate number formats on: as many of each operating regime, drawn by their content.

A format calibrated on the cruise alone would clip what take-off shows. Rows are drawn by their hashes, which are as
good as dice and give the same rows wherever they are drawn.
"""

import polars as pl

from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.schemas.telemetry import SETTING_NAMES

ROWS_OF_A_REGIME = 64  # in each region; ranges hardly move with more


def rows_of_each_regime(
    telemetry: pl.DataFrame, regimes: OperatingRegimes, *, of_each: int = ROWS_OF_A_REGIME
) -> pl.DataFrame:
    """Rows of telemetry, at most so many of each regime that was flown; sorted by unit and cycle.

    Args:
        telemetry: validated rows.
        regimes: of the fleet.
        of_each: rows of a regime; fewer where a regime was not flown so often.
    """
    regime = regimes.assign(telemetry.select(SETTING_NAMES).to_numpy())
    numbered = telemetry.with_columns(regime=pl.Series(regime, dtype=pl.Int64))
    drawn = numbered.sort("row_hash").group_by("regime", maintain_order=True).head(of_each)
    return drawn.drop("regime").sort("unit", "cycle")
