"""Versions of features: what the present code computes from the rows that were known at each instant.

Most groups of rows, such as an engine, arrive in their order and are never corrected: each of their features has one
version, known from the arrival of its own row. Only the features of other groups are computed again, once for each
instant at which one of their rows arrived, was corrected or was withdrawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.beside import replace_where_changed, rows_of_days
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, empty
from sinet_pipelines.storage.versions import ROW, end_of_day, is_known

_AT, _NEXT, _RUN = "__at", "__next", "__run"


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
    history = empty(history_of(recipe.features))
    present = single.select(_arrival_names(recipe))
    if apart.len():
        found = _intervals(_computed(rows(apart), recipe, of_days), recipe)
        present = pl.concat([present, found.filter(pl.col(KNOWN_UNTIL).is_null()).select(present.columns)])
        history = found.filter(pl.col(KNOWN_UNTIL).is_not_null()).select(history.columns)
    return FeatureVersions(present.filter(pl.col(KNOWN_FROM) != end_of_day()), history)


def keep_feature_versions(
    store: TableStore, recipe: Recipe, versions: FeatureVersions, *, days: Sequence[date]
) -> None:
    """Replaces the recorded versions of some days; call it before the features of these days are replaced.

    Raises:
        StorageError: a table cannot be read or written.
    """
    beside = ((arrivals_of(recipe.features), versions.arrivals), (history_of(recipe.features), versions.history))
    for contract, rows in beside:
        was = rows_of_days(store, contract, days)
        replace_where_changed(store, contract, rows, was=was, days=days)


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


def _computed(rows: pl.DataFrame, recipe: Recipe, of_days: pl.Expr) -> pl.DataFrame:
    """The features at each instant at which rows of their group changed, with this instant and the next one."""
    group = recipe.group
    first = rows.filter(of_days).group_by(group).agg(pl.col(KNOWN_FROM).min().alias("first"))
    changes = pl.concat([rows.select(group, pl.col(name).alias(_AT)) for name in (KNOWN_FROM, KNOWN_UNTIL)])
    instants = (
        changes.drop_nulls()
        .join(first, on=group)
        .select(group, pl.max_horizontal(_AT, "first").alias(_AT))
        .unique()
        .sort(group, _AT)
        .with_columns(pl.col(_AT).shift(-1).over(group).alias(_NEXT))
    )
    parts = []
    for (at,), here in instants.sort(_AT).group_by(_AT, maintain_order=True):
        known = rows.filter(is_known(pl.lit(at).cast(rows.schema[KNOWN_FROM]))).join(here, on=group, how="semi")
        if known.height:
            features = recipe.compute(known.drop(KNOWN_FROM, KNOWN_UNTIL)).filter(of_days)
            parts.append(features.join(here, on=group, maintain_order="left"))
    columns = [column.name for column in recipe.features.columns]
    none = empty(recipe.features).with_columns(pl.lit(None, rows.schema[KNOWN_FROM]).alias(n) for n in (_AT, _NEXT))
    return pl.concat([none, *(part.select(*columns, _AT, _NEXT) for part in parts)], how="vertical_relaxed")


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
