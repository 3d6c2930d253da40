"""What was known of engines: versions of window features, and sequences as known at the moment of prediction.

Both are computed from all versions of telemetry, with rows that arrived late, were corrected or were withdrawn.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

import polars as pl

from sinet_pipelines.applications.turbofan.features.daily import daily_statistics
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows, sequences_to_table
from sinet_pipelines.applications.turbofan.features.settled import settled
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, REACH_DAYS, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.features.versions import (
    FeatureVersions,
    Recipe,
    disordered_groups,
    feature_versions,
    keep_feature_versions_in_parts,
    names_of_rows,
)
from sinet_pipelines.schemas.arrival import KNOWN_AT, history_of
from sinet_pipelines.storage.beside import scan_sound
from sinet_pipelines.storage.key_ranges import KeyRange, ranges_of
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore
from sinet_pipelines.storage.versions import INSTANT, ROW, has_versions, known_at, scan_versions

ROWS_AT_ONCE = 50_000  # with 211 features in two versions 170 MB, which are computed, sorted and merged
_IS_EARLY = pl.col("cycle") <= FIRST_CYCLES


def keep_window_versions(
    tables: TableStore, *, days: Sequence[date], regimes: OperatingRegimes, rows_at_once: int = ROWS_AT_ONCE
) -> None:
    """Records the versions of the window features of some days; call it before these days are written.

    Args:
        tables: of the region.
        days: the days.
        regimes: regimes for the standardisation of sensors.
        rows_at_once: versions of telemetry of the engines that are in memory at once.

    Raises:
        StorageError: a table cannot be read or written.
    """
    if not days or not any(has_versions(tables, one) for one in (VALIDATED_TELEMETRY, WINDOW_FEATURES)):
        return
    first = min(days) - timedelta(days=REACH_DAYS)
    recipe = Recipe(WINDOW_FEATURES, "unit", "cycle", partial(_features, first=first, days=days, regimes=regimes))
    reached = pl.col(DAY_COLUMN).is_between(first, max(days))
    of_rows = (
        scan_sound(tables, one).filter(reached) for one in (VALIDATED_TELEMETRY, history_of(VALIDATED_TELEMETRY))
    )
    ranges = ranges_of(of_rows, ["unit"], rows_at_once=rows_at_once)
    parts = ((span, _versions_of(tables, recipe, span, reached, days=days)) for span in ranges)
    keep_feature_versions_in_parts(tables, recipe, parts, days=days)


def _versions_of(
    tables: TableStore, recipe: Recipe, span: KeyRange, reached: pl.Expr, *, days: Sequence[date]
) -> FeatureVersions:
    """The versions of the features of some engines."""
    names = names_of_rows(recipe)
    flown = scan_versions(tables, VALIDATED_TELEMETRY, where=reached & span.condition).select(names).collect()
    units = flown.filter(pl.col(DAY_COLUMN).is_in(list(days)))["unit"].unique()
    early = _early(tables, units, span).select(names).collect()

    def rows(engines: pl.Series) -> pl.DataFrame:
        of_engines = span.condition & pl.col("unit").is_in(engines.implode())
        recent = scan_versions(tables, VALIDATED_TELEMETRY, where=reached & of_engines).collect()
        return pl.concat([recent, _early(tables, engines, span).collect()]).unique()

    return feature_versions(pl.concat([flown, early]).unique(), rows, recipe, days=days)


def sequences_as_known(tables: TableStore, telemetry: pl.DataFrame, *, at: pl.DataFrame) -> pl.DataFrame:
    """The sequences of predictions, each with the telemetry known at its moment, in the columns of a table of them.

    Args:
        tables: of the region.
        telemetry: present telemetry of the engines.
        at: `unit`, `cycle`, `event_date` and `row_hash` of the rows to predict.

    Raises:
        StorageError: a table beside the telemetry is damaged.
    """
    if not has_versions(tables, VALIDATED_TELEMETRY):
        return _sequences(telemetry, at)
    named = at.select("unit", "cycle", DAY_COLUMN, ROW)
    wanted = read_as_known(tables, VALIDATED_TELEMETRY, named)
    of_engines = pl.col("unit").is_in(at["unit"].unique().implode())
    versions = scan_versions(tables, VALIDATED_TELEMETRY, where=of_engines).collect()
    apart = pl.col("unit").is_in(disordered_groups(versions, group="unit", order="cycle").implode())
    parts = [_sequences(telemetry, wanted.filter(~apart))]
    for (moment,), rows in wanted.filter(apart).group_by(KNOWN_AT, maintain_order=True):
        engines = versions.join(rows, on="unit", how="semi").lazy()
        known = settled(known_at(engines, pl.lit(moment).cast(INSTANT)).collect())
        parts.append(_sequences(known, rows.join(known, on=["unit", "cycle"], how="semi")))
    return pl.concat(parts)


def _sequences(telemetry: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    sequences = sequence_windows(telemetry, at=at.select("unit", "cycle"))
    return pl.DataFrame(pl.from_arrow(sequences_to_table(sequences, rows=at)))


def _early(tables: TableStore, units: pl.Series, span: KeyRange) -> pl.LazyFrame:
    """All versions of the first cycles of some engines of a range."""
    where = _IS_EARLY & span.condition & pl.col("unit").is_in(units.implode())
    return scan_versions(tables, VALIDATED_TELEMETRY, where=where, present=EARLY_TELEMETRY)


def _features(rows: pl.DataFrame, *, first: date, days: Sequence[date], regimes: OperatingRegimes) -> pl.DataFrame:
    history, first_cycles = rows.filter(pl.col(DAY_COLUMN) >= first), rows.filter(_IS_EARLY)
    return daily_statistics(settled(history), days=days, first_cycles=settled(first_cycles), regimes=regimes)
