"""Features of a day with more rows than fit in memory, computed for some engines at a time.

A window has rows of one engine only, so batches of engines do not change the result.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import polars as pl

from sinet_pipelines.applications.turbofan.features.inputs import unit_digests
from sinet_pipelines.applications.turbofan.features.of_engines import features_of_engines
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.schemas.features import REACH_DAYS
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.features.in_parts import IN_PROCESS, Part, PartMap
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore

ROWS_AT_ONCE = 40_000  # of the engines in one batch, on all days that their windows include

Span = tuple[str, str]


def features_in_batches(
    tables: TableStore,
    *,
    day: date,
    regimes: OperatingRegimes,
    parts: PartMap = IN_PROCESS,
    digests: list[pl.DataFrame] | None = None,
    rows_at_once: int | None = None,
) -> Iterator[pl.DataFrame]:
    """The day's rows of `window_features`, sorted by engine and cycle; each batch has some engines.

    Args:
        tables: the region's tables.
        day: the day.
        regimes: regimes for the standardisation of sensors.
        parts: where they are computed.
        digests: receives the `unit_digests` of the rows that are read.
        rows_at_once: rows of telemetry in memory at once, unless one engine has more; default `ROWS_AT_ONCE`.

    Raises:
        ClusterError: workers failed.
    """
    days = [day - timedelta(days=back) for back in range(REACH_DAYS, -1, -1)]
    compute = partial(features_of_engines, days=(day,), regimes=regimes)
    read = _engines_of(tables, days, rows_at_once or ROWS_AT_ONCE, [] if digests is None else digests)
    return (found for found in parts.map(compute, read) if found.height)


def _engines_of(tables: TableStore, days: list[date], rows_at_once: int, digests: list[pl.DataFrame]) -> Iterator[Part]:
    """The telemetry of some engines on these days, and their first cycles, for all engines in turn.

    The tables are opened once, so all parts are of one version of each.
    """
    flown = tables.scan(VALIDATED_TELEMETRY).filter(pl.col(DAY_COLUMN).is_between(days[0], days[-1]))
    first_cycles = tables.scan(EARLY_TELEMETRY)
    for first, last in _spans(tables, days, rows_at_once):
        engines = pl.col("unit").is_between(pl.lit(first), pl.lit(last))
        part = flown.filter(engines).collect(), first_cycles.filter(engines).collect()
        digests.append(unit_digests(*part))
        yield part


def _spans(tables: TableStore, days: list[date], rows_at_once: int) -> Iterator[Span]:
    """First and last engine name of each batch, in the order of the names."""
    rows: Counter[str] = Counter()
    for day in days:
        for batch in tables.read_in_batches(VALIDATED_TELEMETRY, day=day, columns=["unit"]):
            rows.update(dict(batch["unit"].value_counts().iter_rows()))
    first = last = ""
    total = 0
    for unit in sorted(rows):
        if total and total + rows[unit] > rows_at_once:
            yield first, last
            total = 0
        first, last, total = first if total else unit, unit, total + rows[unit]
    if total:
        yield first, last
