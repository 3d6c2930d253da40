"""Rows for the calibration of number formats: the same number from each operating regime, drawn by their content.

A format that is calibrated only on cruise rows would clip take-off values. Rows are drawn by their hashes, which are
pseudo-random, so every machine draws the same rows.
"""

import polars as pl

from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.schemas.telemetry import SETTING_NAMES

ROWS_OF_A_REGIME = 64  # in each region; more rows hardly change the ranges


def rows_of_each_regime(
    telemetry: pl.DataFrame, regimes: OperatingRegimes, *, of_each: int = ROWS_OF_A_REGIME
) -> pl.DataFrame:
    """Rows of telemetry, at most `of_each` of each regime that was flown; sorted by unit and cycle.

    Args:
        telemetry: validated rows.
        regimes: regimes of the fleet.
        of_each: rows of each regime; fewer where a regime has fewer rows.
    """
    regime = regimes.assign(telemetry.select(SETTING_NAMES).to_numpy())
    numbered = telemetry.with_columns(regime=pl.Series(regime, dtype=pl.Int64))
    drawn = numbered.sort("row_hash").group_by("regime", maintain_order=True).head(of_each)
    return drawn.drop("regime").sort("unit", "cycle")
