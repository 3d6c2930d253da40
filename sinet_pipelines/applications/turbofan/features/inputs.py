"""Fingerprints of the inputs of features, one for each day.

The inputs of a day are the rows in its windows, the first cycles of the engines that flew on it, and the regimes. A day
whose fingerprint equals that of its features is up to date. A late row changes the fingerprints of its own day, of
the days whose windows include it and, if it is a first cycle, of all later days of that engine.

The fingerprints are computed from digests of rows, which may leave their region; the rows may not.
"""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from sinet_pipelines.applications.turbofan.schemas.features import UNIT_DIGESTS
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.monitoring.publication import Digest
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import TableStore


def day_inputs(
    rows: pl.DataFrame, first_cycles: pl.DataFrame, *, regimes_version: str, reach_days: int, code_version: str
) -> dict[date, str]:
    """The fingerprint of each day's inputs: 16 hex digits.

    Args:
        rows: validated telemetry (`event_date`, `unit`, `row_hash`), any number of days.
        first_cycles: rows of first cycles (`unit`, `row_hash`) of those engines.
        regimes_version: version of the regimes by which sensors are standardised.
        reach_days: number of days before its own day that a window includes.
        code_version: version of the code that computes the features.
    """
    return inputs_of_digests(
        unit_digests(rows, first_cycles),
        regimes_version=regimes_version,
        reach_days=reach_days,
        code_version=code_version,
    )


def inputs_of_digests(
    digests: pl.DataFrame, *, regimes_version: str, reach_days: int, code_version: str
) -> dict[date, str]:
    """The same fingerprints, computed from digests of rows.

    Args:
        digests: result of `unit_digests`.
        regimes_version: version of the regimes by which sensors are standardised.
        reach_days: number of days before its own day that a window includes.
        code_version: version of the code that computes the features.
    """
    per_day: dict[date, dict[str, str]] = {}
    first: dict[str, str] = {}
    for day, unit, digest in digests.sort("day", "unit").select("day", "unit", "digest").iter_rows():
        (first if day is None else per_day.setdefault(day, {}))[unit] = digest
    whole = {day: _joined(units) for day, units in per_day.items()}
    fingerprints = {}
    for day, units in sorted(per_day.items()):
        parts = [code_version, regimes_version]
        parts += [whole.get(day - timedelta(days=back), "") for back in range(reach_days + 1)]
        parts += [f"{unit}={first.get(unit, '')}" for unit in units]
        fingerprints[day] = fingerprint(*parts)
    return fingerprints


def unit_digests(rows: pl.DataFrame, first_cycles: pl.DataFrame) -> pl.DataFrame:
    """The digest of each engine's rows of each day, and, in rows without a day, that of its first cycles.

    Args:
        rows: validated telemetry (`event_date`, `unit`, `row_hash`), any number of days.
        first_cycles: rows of first cycles (`unit`, `row_hash`).

    Returns:
        (n, 3) in the columns of `unit_digests`, independent of the order of the rows.
    """
    flown = rows.select(pl.col("event_date").alias("day"), "unit", "row_hash")
    first = first_cycles.select(pl.lit(None, pl.Date).alias("day"), "unit", "row_hash")
    joined = pl.concat([flown, first]).group_by("day", "unit").agg(pl.col("row_hash").sort().str.join())
    digests = pl.Series("digest", [fingerprint(text) for text in joined["row_hash"]], pl.String)
    return joined.select("day", "unit", digests).sort("day", "unit")


def _joined(units: Mapping[str, str]) -> str:
    return fingerprint(*(f"{unit}={digest}" for unit, digest in units.items()))


def _compute(tables: TableStore) -> pl.DataFrame:
    rows = tables.read(VALIDATED_TELEMETRY, columns=["event_date", "unit", "row_hash"])
    return unit_digests(rows, tables.read(EARLY_TELEMETRY, columns=["unit", "row_hash"]))


DIGEST = Digest(UNIT_DIGESTS, of=(VALIDATED_TELEMETRY, EARLY_TELEMETRY), compute=_compute)
