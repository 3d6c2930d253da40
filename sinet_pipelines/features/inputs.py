"""What a day's features are made from, as one fingerprint a day.

The rows that its windows reach, the first cycles of the engines that flew on it, and the regimes. A day whose
fingerprint is still that of its features need not be made again; a late row changes the fingerprints of its own day,
of the days whose windows reach it and, among an engine's first cycles, of all that engine's later days.
"""

from datetime import date, timedelta

import polars as pl

from sinet_pipelines.storage.fingerprint import fingerprint


def day_inputs(
    rows: pl.DataFrame, first_cycles: pl.DataFrame, *, regimes_version: str, reach_days: int, code_version: str
) -> dict[date, str]:
    """The fingerprint of each day's inputs: 16 hex digits.

    Args:
        rows: validated telemetry (`event_date`, `unit`, `row_hash`), any number of days.
        first_cycles: rows of first cycles (`unit`, `row_hash`) of those engines.
        regimes_version: version of the regimes by which sensors are standardised.
        reach_days: how many days before its own a window reaches.
        code_version: of the code that makes the features.
    """
    per_day = dict(_joined(rows, "event_date"))
    per_unit = dict(_joined(first_cycles, "unit"))
    flown = rows.select("event_date", "unit").unique().sort("event_date", "unit")
    units: dict[date, list[str]] = dict(flown.group_by("event_date").agg("unit").iter_rows())
    fingerprints = {}
    for day in sorted(per_day):
        parts = [code_version, regimes_version]
        parts += [per_day.get(day - timedelta(days=back), "") for back in range(reach_days + 1)]
        parts += [f"{unit}={per_unit.get(unit, '')}" for unit in units[day]]
        fingerprints[day] = fingerprint(*parts)
    return fingerprints


def _joined(rows: pl.DataFrame, by: str) -> list[tuple]:
    """For each group the digest of its rows' hashes, in whatever order they come."""
    joined = rows.group_by(by).agg(pl.col("row_hash").sort().str.join())
    return [(key, fingerprint(text)) for key, text in joined.iter_rows()]
