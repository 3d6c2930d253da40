"""Monitors an application's inputs: compares each day's features with the reference days.

Rows of one stratum (an age, a type) are similar, and their mix differs by day, so rows are compared with reference
rows of the same stratum. The application defines its columns, groups and strata as a `Watched`.

A day has drifted where a feature's distribution differs *significantly* (Kolmogorov-Smirnov, Holm over the features)
and by a *large* amount (PSI). The level is one day in a thousand, so that 60 days of three regions raise 0.2 false
alarms.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from sinet_pipelines.monitoring.drift import Comparison, Reference, compare, holm, reference_of
from sinet_pipelines.monitoring.likeness import Counts
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import DAY_COLUMN, empty

REFERENCE_DAYS = (5, 14)  # of the landed days: the first are unusual, the last ones mostly new
MIN_GROUPS = 10  # in the reference: with 3 to 9 groups the correlation is uncertain and causes false alarms
DIGITS = 9  # of stored figures: more than needed, fewer than those that differ between processors
LEVEL = 0.001  # of a false alarm, for all features of a region's day together


def one_stratum(rows: pl.DataFrame) -> Counts:
    """(N,) stratum 0 of every row: for an application whose rows are all similar."""
    return np.zeros(rows.height, dtype=np.int64)


@dataclass(frozen=True)
class Watched:
    """What is monitored for drift in an application's features.

    Attributes:
        features: columns that are compared.
        group: column of groups, which have several similar rows.
        order: column that numbers the rows of a group.
        groups: the word for several groups, and the column of their number in `contract`.
        contract: of the result of a comparison (`schemas.monitoring.input_drift`).
        strata: number of strata.
        stratum_of: for rows with `columns`, (N,) the stratum of each, from 0.
        stratum: the word for a stratum: `age`.
        is_grouped: whether rows of a group are similar; false where rows are independent.
        least: number of groups that a reference needs.
    """

    features: tuple[str, ...]
    group: str
    order: str
    groups: str
    contract: Contract
    strata: int = 1
    stratum_of: Callable[[pl.DataFrame], Counts] = one_stratum
    stratum: str = "kind"
    is_grouped: bool = True
    least: int = MIN_GROUPS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a comparison reads."""
        return (self.group, self.order, DAY_COLUMN, *self.features)


@dataclass(frozen=True)
class DayDrift:
    """The drift of one day.

    Attributes:
        day: the day.
        features: rows of the contract `input_drift`, the most drifted first; empty where nothing was compared.
        why_not: why nothing was compared; empty where it was.
        passed_over: rows of strata without a row in the reference, which are left out.
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
class DaysReference:
    """A region's features on the reference days.

    Attributes:
        first: first of the days.
        last: last of the days.
        groups: number of groups with rows on them.
        watched: what is compared.
        values: None where there are too few groups.
    """

    first: date
    last: date
    groups: int
    watched: Watched
    values: Reference | None


def reference_span(first_day: date) -> tuple[date, date]:
    """First and last reference day.

    >>> [str(day) for day in reference_span(date(2026, 1, 1))]
    ['2026-01-06', '2026-01-15']
    """
    return first_day + timedelta(days=REFERENCE_DAYS[0]), first_day + timedelta(days=REFERENCE_DAYS[1])


def days_reference(features: pl.DataFrame, watched: Watched, *, first_day: date) -> DaysReference:
    """The reference of one region.

    Args:
        features: the monitored columns of the region's features, including the reference days.
        watched: what is compared.
        first_day: of the landed days.
    """
    first, last = reference_span(first_day)
    rows = _in_order(features.filter(pl.col(DAY_COLUMN).is_between(first, last)), watched)
    groups = rows[watched.group].n_unique()
    if groups < watched.least:
        return DaysReference(first, last, groups, watched, None)
    values = reference_of(
        _values(rows, watched), stratum=watched.stratum_of(rows), group=_groups(rows, watched), strata=watched.strata
    )
    return DaysReference(first, last, groups, watched, values)


def judge_day(features: pl.DataFrame, reference: DaysReference, *, day: date) -> DayDrift:
    """Compares one day with the reference; days up to its end belong to the reference and are not compared.

    Args:
        features: the monitored columns of the region's features, including the day.
        reference: of the same region.
        day: the day to compare.
    """
    watched = reference.watched
    nothing = empty(watched.contract)
    if day <= reference.last:
        return DayDrift(day, nothing, f"days until {reference.last} are the reference")
    if reference.values is None:
        why = (
            f"{reference.groups} {watched.groups} from {reference.first} to {reference.last} "
            f"(a reference needs {watched.least})"
        )
        return DayDrift(day, nothing, why)
    rows = _in_order(features.filter(pl.col(DAY_COLUMN) == day), watched)
    known = rows.filter(reference.values.covers(watched.stratum_of(rows)))
    if known.is_empty():
        return DayDrift(day, nothing, f"none of the {watched.groups} has a known {watched.stratum}", rows.height)
    comparison = compare(
        reference.values,
        _values(known, watched),
        stratum=watched.stratum_of(known),
        group=_groups(known, watched),
    )
    return DayDrift(day, _as_rows(comparison, known, watched, day=day), passed_over=rows.height - known.height)


def drifting_since(judged: Collection[date], drifted: Collection[date]) -> date | None:
    """The first day of a drift that still lasts, None where the newest day has none; days in between may be missing.

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
    """The inputs of each day's drift: its own features and, once it is compared, those of the reference days.

    Args:
        versions: data version of each day of the region's features.
        first_day: of the landed days.
        code_version: of the comparing code.
    """
    first, last = reference_span(first_day)
    reference = [f"{day}={version}" for day, version in sorted(versions.items()) if first <= day <= last]
    return {
        day: fingerprint(code_version, version, *(reference if day > last else ())) for day, version in versions.items()
    }


def _in_order(rows: pl.DataFrame, watched: Watched) -> pl.DataFrame:
    """The rows in a fixed order, independent of the table's files: the last digits of float sums depend on it."""
    return rows.sort(watched.group, watched.order, DAY_COLUMN)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values rounded to `DIGITS` significant digits: further ones differ by processor and would change table hashes."""
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _values(rows: pl.DataFrame, watched: Watched) -> np.ndarray:
    return rows.select(watched.features).to_numpy()


def _groups(rows: pl.DataFrame, watched: Watched) -> Counts | None:
    if not watched.is_grouped:
        return None
    return rows[watched.group].rank("dense").to_numpy().astype(np.int64) - 1


def _as_rows(comparison: Comparison, rows: pl.DataFrame, watched: Watched, *, day: date) -> pl.DataFrame:
    names = ("psi", "psi_limit", "ks", "p_value", "rows_worth")
    found = {name: _rounded(getattr(comparison, name)) for name in names}
    adjusted = _rounded(holm(found["p_value"]))
    drifted = (adjusted <= LEVEL) & (found["psi"] > found["psi_limit"])
    return (
        pl.DataFrame(
            {
                "feature": watched.features,
                **found,
                "p_adjusted": adjusted,
                "drifted": drifted,
            }
        )
        .with_columns(
            pl.lit(day).alias(DAY_COLUMN),
            pl.lit(LEVEL).alias("p_limit"),
            pl.lit(rows.height, pl.Int64).alias("rows"),
            pl.lit(rows[watched.group].n_unique(), pl.Int64).alias(watched.groups),
        )
        .sort(["drifted", "p_value", "psi"], descending=[True, False, True], maintain_order=True)
        .select(watched.contract.schema.names)
    )
