"""Versions of features: what the present code computes from the rows that were known at each instant.

Most groups of rows, such as an engine, arrive in their order and are never corrected: each of their features has one
version, known from the arrival of its own row. Only the features of other groups are computed again, once for each
interval between instants at which a row of them arrived after a later one, was corrected or was withdrawn.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.beside import Replacement, scan_sound
from sinet_pipelines.storage.key_ranges import KeyRange
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, empty
from sinet_pipelines.storage.versions import ROW, end_of_day

FEATURES_AT_ONCE = 200_000  # of all intervals of some groups: with 211 features about 200 MB, sorted and merged
_AT, _NEXT, _RUN, _RANK, _LAST, _PART = "__at", "__next", "__run", "__rank", "__last", "__part"


@dataclass(frozen=True)
class Recipe:
    """How features are made from rows.

    Attributes:
        features: contract of the table of features; its key and `row_hash` are columns of the rows too.
        group: column of the rows that a feature is made from: those of one group only.
        order: column by which rows of a group follow each other; a feature uses no later row.
        compute: from rows that were known at one instant, the features of all of them.
    """

    features: Contract
    group: str
    order: str
    compute: Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class FeatureVersions:
    """The versions of the features of some days.

    Attributes:
        arrivals: rows of `arrivals_of`: present features that are not known from the end of their day.
        history: rows of `history_of`: former features.
    """

    arrivals: pl.DataFrame
    history: pl.DataFrame


def feature_versions(
    names: pl.DataFrame, rows: Callable[[pl.Series], pl.DataFrame], recipe: Recipe, *, days: Sequence[date]
) -> FeatureVersions:
    """The versions of the features of some days.

    Args:
        names: all versions of all rows that these features are made from: group, order, `event_date`, the key,
            `row_hash`, `known_from`, `known_until`.
        rows: returns the same versions with all columns, for the given groups.
        recipe: how the features are made.
        days: the days of the features.
    """
    of_days = pl.col(DAY_COLUMN).is_in(list(days))
    apart = disordered_groups(names, group=recipe.group, order=recipe.order)
    single = names.filter(of_days & ~pl.col(recipe.group).is_in(apart.implode()))
    former, present = [empty(history_of(recipe.features))], [single.select(_arrival_names(recipe))]
    for groups in _in_parts(names.filter(pl.col(recipe.group).is_in(apart.implode())), recipe, of_days):
        found = _intervals(_computed(rows(groups), recipe, of_days), recipe)
        present.append(found.filter(pl.col(KNOWN_UNTIL).is_null()).select(present[0].columns))
        former.append(found.filter(pl.col(KNOWN_UNTIL).is_not_null()).select(former[0].columns))
    return FeatureVersions(pl.concat(present).filter(pl.col(KNOWN_FROM) != end_of_day()), pl.concat(former))


def keep_feature_versions(
    store: TableStore, recipe: Recipe, versions: FeatureVersions, *, days: Sequence[date]
) -> None:
    """Replaces the recorded versions of some days; call it before the features of these days are replaced.

    Raises:
        StorageError: a table cannot be read or written.
    """
    keep_feature_versions_in_parts(store, recipe, [(KeyRange((recipe.group,)), versions)], days=days)


def keep_feature_versions_in_parts(
    store: TableStore, recipe: Recipe, parts: Iterable[tuple[KeyRange, FeatureVersions]], *, days: Sequence[date]
) -> None:
    """As `keep_feature_versions`, with the versions of one range of groups in memory at a time.

    Args:
        store: tables of one region.
        recipe: how the features are made.
        parts: ranges of the group that cover all groups, in order, each with its versions. Of more than one range, the
            group is the first column of the features' key.
        days: the days; of several days, the versions of all groups are in memory at the end.

    Raises:
        StorageError: a table cannot be read or written.
    """
    of_days = pl.col(DAY_COLUMN).is_in(list(days))
    beside = [history_of(recipe.features), arrivals_of(recipe.features)]
    stored = [scan_sound(store, one).filter(of_days) for one in beside]
    history, arrivals = (Replacement(store, one, sorted(set(days))) for one in beside)
    with history, arrivals:
        for span, versions in parts:
            was = [rows.filter(span.condition).collect() for rows in stored]
            history.add(versions.history, was=was[0])
            arrivals.add(versions.arrivals, was=was[1])
        arrivals.write()
        history.write()


def disordered_groups(names: pl.DataFrame, *, group: str, order: str) -> pl.Series:
    """The groups in which a row arrived after a later one, was corrected or was withdrawn, sorted.

    Args:
        names: versions of rows: group, order, `known_from`, `known_until`.
        group: column of the group.
        order: column by which rows of a group follow each other.
    """
    is_late = pl.col(KNOWN_FROM) < pl.col(KNOWN_FROM).cum_max().over(group)
    found = names.sort(group, order).filter(is_late | pl.col(KNOWN_UNTIL).is_not_null())
    return found[group].unique().sort()


def _arrival_names(recipe: Recipe) -> list[str]:
    return [column.name for column in arrivals_of(recipe.features).columns]


def _in_parts(names: pl.DataFrame, recipe: Recipe, of_days: pl.Expr) -> Iterator[pl.Series]:
    """The groups in parts of at most `FEATURES_AT_ONCE` features of all intervals, or of one group."""
    intervals = _changes(names, recipe).group_by(recipe.group).len(_NEXT)
    counts = names.filter(of_days).group_by(recipe.group).len(_AT).join(intervals, on=recipe.group, how="left")
    size = (pl.col(_NEXT).fill_null(0) + 1) * pl.col(_AT)
    parts = counts.sort(recipe.group).with_columns((size.cum_sum() // FEATURES_AT_ONCE).alias(_PART))
    for part in parts.partition_by(_PART, maintain_order=True):
        yield part[recipe.group]


def _changes(rows: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """The instants of a group at which features of rows that are known change: group and `_AT`, sorted.

    A row that arrives after all rows before it changes no feature but its own and those of later rows.
    """
    group = recipe.group
    ranked = rows.select(group, KNOWN_FROM, KNOWN_UNTIL, pl.col(recipe.order).rank("dense").over(group).alias(_RANK))
    arrived = ranked.group_by(group, KNOWN_FROM).agg(pl.col(_RANK).min(), pl.col(_RANK).max().alias(_LAST))
    before = pl.col(_LAST).cum_max().shift(1).over(group)
    late = arrived.sort(group, KNOWN_FROM).filter(pl.col(_RANK) <= before).select(group, pl.col(KNOWN_FROM).alias(_AT))
    ended = ranked.drop_nulls(KNOWN_UNTIL).select(group, pl.col(KNOWN_UNTIL).alias(_AT))
    return pl.concat([late, ended]).unique().sort(group, _AT)


def _computed(rows: pl.DataFrame, recipe: Recipe, of_days: pl.Expr) -> pl.DataFrame:
    """The features in each interval between changes of their group, with the instants from and until which it holds."""
    group, instant = recipe.group, rows.schema[KNOWN_FROM]
    first = rows.filter(of_days).group_by(group).agg(pl.col(KNOWN_FROM).min().alias(_LAST))
    changes = pl.concat([first.select(group, pl.lit(None, instant).alias(_AT)), _changes(rows, recipe)])
    intervals = (
        changes.sort(group, _AT, nulls_last=False)
        .with_columns(pl.col(_AT).shift(-1).over(group).alias(_NEXT))
        .join(first, on=group)
        .filter(pl.col(_NEXT).is_null() | (pl.col(_NEXT) > pl.col(_LAST)))
        .drop(_LAST)
    )
    own = list(dict.fromkeys((*recipe.features.key, ROW)))
    columns = [column.name for column in recipe.features.columns]
    none = empty(recipe.features).with_columns(pl.lit(None, instant).alias(name) for name in (_AT, _NEXT))
    parts = [none]
    for (_, end), here in intervals.sort(_AT, _NEXT).group_by(_AT, _NEXT, maintain_order=True):
        until = pl.lit(end).cast(instant)
        is_there = pl.col(KNOWN_UNTIL).is_null() if end is None else _was_known_before(until)
        known = rows.filter(is_there).join(here, on=group, how="semi")
        if known.height:
            features = recipe.compute(known.drop(KNOWN_FROM, KNOWN_UNTIL)).filter(of_days)
            dated = features.join(here, on=group, maintain_order="left").join(
                known.group_by(own).agg(pl.col(KNOWN_FROM).min()), on=own, maintain_order="left"
            )
            parts.append(dated.with_columns(pl.max_horizontal(_AT, KNOWN_FROM).alias(_AT)).select(none.columns))
    return pl.concat(parts, how="vertical_relaxed").select(*columns, _AT, _NEXT)


def _was_known_before(instant: pl.Expr) -> pl.Expr:
    """Whether a version was known until an instant, without this instant itself."""
    return (pl.col(KNOWN_FROM) < instant) & (pl.col(KNOWN_UNTIL).is_null() | (pl.col(KNOWN_UNTIL) >= instant))


def _intervals(computed: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """One row for each version, with the first instant at which it was known and the one at which it ended."""
    key, columns = list(recipe.features.key), [column.name for column in recipe.features.columns]
    ordered = computed.sort(*key, _AT)
    is_same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in columns)
    goes_on = is_same & (pl.col(_AT) == pl.col(_NEXT).shift())
    runs = ordered.with_columns((~goes_on.fill_null(value=False)).cum_sum().alias(_RUN))
    merged = runs.group_by(_RUN, maintain_order=True).agg(
        *(pl.col(name).first() for name in columns),
        pl.col(_AT).first().alias(KNOWN_FROM),
        pl.col(_NEXT).last().alias(KNOWN_UNTIL),
    )
    return merged.drop(_RUN)


def names_of_rows(recipe: Recipe) -> list[str]:
    """The columns of `names` in `feature_versions`."""
    names = (DAY_COLUMN, recipe.group, recipe.order, *recipe.features.key, ROW, KNOWN_FROM, KNOWN_UNTIL)
    return list(dict.fromkeys(names))
