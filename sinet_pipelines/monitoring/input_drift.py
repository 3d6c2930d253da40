"""Watches a fleet's inputs: each day's sensors held against the days on which the fleet was as it should be.

Engines wear, and their mix of ages is another every day, so rows are compared with reference rows of the same age.
Each feature is a sensor in standard deviations of its operating regime: another mix of flights is no drift. What a
constant sensor does is not seen here (its z is 0 whatever it shows): the bounds of its contract watch it.

A day is drifted where a feature's distribution differs *for certain* (Kolmogorov-Smirnov, Holm over the features) and
*much* (PSI). The level is one day in a thousand, so that 60 days of three regions raise 0.2 false alarms at most.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from sinet_pipelines.monitoring.drift import Comparison, Reference, compare, holm, reference_of
from sinet_pipelines.monitoring.likeness import Counts
from sinet_pipelines.schemas.monitoring import INPUT_DRIFT
from sinet_pipelines.schemas.telemetry import SENSOR_NAMES
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import DAY_COLUMN, empty

REFERENCE_DAYS = (5, 14)  # of the layout: the first days are young, the last ones mostly live
AGE_BAND_CYCLES, AGE_BANDS = 50, 8  # little wears in 50 cycles; the last band has all from 351 on
MIN_ENGINES = 10  # in the reference: few engines do not tell how alike they are (of 3 to 9, false alarms)
DIGITS = 9  # of what is kept of a comparison: far more than it means, fewer than two processors agree on
LEVEL = 0.001  # of a false alarm, all features of a region's day together
WATCHED: tuple[str, ...] = tuple(f"{name}_z_last" for name in SENSOR_NAMES)
COLUMNS: tuple[str, ...] = ("unit", "cycle", DAY_COLUMN, *WATCHED)


@dataclass(frozen=True)
class DayDrift:
    """What is known of a day's drift.

    Attributes:
        day: the day.
        features: rows of the contract `input_drift`, the most drifted first; empty where nothing was compared.
        why_not: why nothing was compared, empty where it was.
        passed_over: rows of an age that no engine of the reference had.
    """

    day: date
    features: pl.DataFrame
    why_not: str = ""
    passed_over: int = 0

    @property
    def drifted(self) -> list[str]:
        """The features that drifted, the worst first."""
        return self.features.filter("drifted")["feature"].to_list()


@dataclass(frozen=True)
class FleetReference:
    """What a region's engines were like on the reference days.

    Attributes:
        first: first of the days.
        last: last of the days.
        engines: that flew on them.
        values: None where they are too few to say what is normal.
    """

    first: date
    last: date
    engines: int
    values: Reference | None


def reference_span(first_day: date) -> tuple[date, date]:
    """First and last reference day of a fleet.

    >>> [str(day) for day in reference_span(date(2026, 1, 1))]
    ['2026-01-06', '2026-01-15']
    """
    return first_day + timedelta(days=REFERENCE_DAYS[0]), first_day + timedelta(days=REFERENCE_DAYS[1])


def fleet_reference(features: pl.DataFrame, *, first_day: date) -> FleetReference:
    """The reference of one region.

    Args:
        features: `COLUMNS` of the region's window features, the reference days among them.
        first_day: day 0 of the fleet's layout.
    """
    first, last = reference_span(first_day)
    rows = _in_order(features.filter(pl.col(DAY_COLUMN).is_between(first, last)))
    engines = rows["unit"].n_unique()
    if engines < MIN_ENGINES:
        return FleetReference(first, last, engines, None)
    values = reference_of(_values(rows), stratum=_age_bands(rows), group=_engines(rows), strata=AGE_BANDS)
    return FleetReference(first, last, engines, values)


def judge_day(features: pl.DataFrame, reference: FleetReference, *, day: date) -> DayDrift:
    """One day held against the reference; days until its end make the reference and are not judged.

    Args:
        features: `COLUMNS` of the region's window features, the day among them.
        reference: of the same region.
        day: the day to judge.
    """
    nothing = empty(INPUT_DRIFT)
    if day <= reference.last:
        return DayDrift(day, nothing, f"until {reference.last} days make the reference")
    if reference.values is None:
        why = (
            f"{reference.engines} engines from {reference.first} to {reference.last} (a reference needs {MIN_ENGINES})"
        )
        return DayDrift(day, nothing, why)
    rows = _in_order(features.filter(pl.col(DAY_COLUMN) == day))
    known = rows.filter(reference.values.knows(_age_bands(rows)))
    if known.is_empty():
        return DayDrift(day, nothing, "no engine of an age that the reference has", rows.height)
    comparison = compare(reference.values, _values(known), stratum=_age_bands(known), group=_engines(known))
    return DayDrift(day, _as_rows(comparison, known, day=day), passed_over=rows.height - known.height)


def drifting_since(judged: Collection[date], drifted: Collection[date]) -> date | None:
    """The first day of a drift that still lasts, None where the newest day has none; days between may be missing.

    >>> first, second, fourth, fifth = (date(2026, 1, day) for day in (1, 2, 4, 5))
    >>> drifting_since([first, second, fourth, fifth], [first, fourth, fifth])
    datetime.date(2026, 1, 4)
    >>> drifting_since([first, second], [first])
    """
    since = None
    for day in sorted(judged, reverse=True):
        if day not in drifted:
            break
        since = day
    return since


def drift_inputs(versions: Mapping[date, str], *, first_day: date, code_version: str) -> dict[date, str]:
    """What each day's drift is made from: its own features and, once it is judged, those of the reference days.

    Args:
        versions: data version of each day of the region's window features.
        first_day: day 0 of the fleet's layout.
        code_version: of the code that judges.
    """
    first, last = reference_span(first_day)
    reference = [f"{day}={version}" for day, version in sorted(versions.items()) if first <= day <= last]
    return {
        day: fingerprint(code_version, version, *(reference if day > last else ())) for day, version in versions.items()
    }


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows in one order, however the table's files lie: sums of floats depend on it in their last digits."""
    return rows.sort("unit", "cycle", DAY_COLUMN)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values to `DIGITS` significant digits: the last ones differ by processor, and would change the table's hash."""
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _values(rows: pl.DataFrame) -> np.ndarray:
    return rows.select(WATCHED).to_numpy()


def _age_bands(rows: pl.DataFrame) -> Counts:
    return np.minimum((rows["cycle"].to_numpy() - 1) // AGE_BAND_CYCLES, AGE_BANDS - 1)


def _engines(rows: pl.DataFrame) -> Counts:
    return rows["unit"].rank("dense").to_numpy().astype(np.int64) - 1


def _as_rows(comparison: Comparison, rows: pl.DataFrame, *, day: date) -> pl.DataFrame:
    names = ("psi", "psi_limit", "ks", "p_value", "rows_worth")
    found = {name: _rounded(getattr(comparison, name)) for name in names}
    adjusted = _rounded(holm(found["p_value"]))
    drifted = (adjusted <= LEVEL) & (found["psi"] > found["psi_limit"])
    return (
        pl.DataFrame(
            {
                "feature": WATCHED,
                **found,
                "p_adjusted": adjusted,
                "drifted": drifted,
            }
        )
        .with_columns(
            pl.lit(day).alias(DAY_COLUMN),
            pl.lit(LEVEL).alias("p_limit"),
            pl.lit(rows.height, pl.Int64).alias("rows"),
            pl.lit(rows["unit"].n_unique(), pl.Int64).alias("engines"),
        )
        .sort(["drifted", "p_value", "psi"], descending=[True, False, True], maintain_order=True)
        .select(INPUT_DRIFT.schema.names)
    )
