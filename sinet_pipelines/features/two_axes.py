"""The as-of join on two axes: each entity gets the newest row of its instant that was known at its moment.

The first axis is the time of events (`recorded_at`), the second the time of knowledge (`known_from`, `known_until`).
Nearly always the newest row of all was known already: one pass of the plain as-of join answers these entities. The
others are compared with every earlier version of their key.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import polars as pl

from sinet_pipelines.errors import UsageError
from sinet_pipelines.features.point_in_time import point_in_time_join, tick_of, ticks_of
from sinet_pipelines.schemas.arrival import KNOWN_AT, KNOWN_FROM, KNOWN_UNTIL
from sinet_pipelines.storage.versions import INSTANT, is_known

PAIRS_AT_ONCE = 4_000_000  # of an entity and a version of its key: about half a GiB
_PLACE, _ROW, _FROM, _UNTIL, _TIME, _FEATURE_TIME = (
    "__place",
    "__row",
    "__from",
    "__until",
    "__entity_time",
    "__feature_time",
)


def join_as_known(
    entities: pl.DataFrame,
    versions: pl.DataFrame | pl.LazyFrame,
    *,
    columns: Sequence[str],
    on: str | Sequence[str] = "unit",
    entity_time: str = "event_timestamp",
    feature_time: str = "recorded_at",
    created_time: str | None = None,
    tie_breaks: Sequence[str] = (),
    ttl: timedelta | None = None,
) -> pl.DataFrame:
    """The entities with the feature values that were known at their moment and the newest at their instant.

    An entity uses the versions of its key whose time is at or before its own and not older than `ttl`, with
    `known_from` at or before its `as_known_at` and `known_until` after it or null. Of versions of one time the last
    created wins, then the one with the greatest `tie_breaks`, as in the online store, then the one with the latest
    `known_from`, then the greatest values. An entity without such a version, key, time or `as_known_at` has nulls.

    Args:
        entities: (n, columns) rows with key, time and `as_known_at`, the moment of the prediction.
        versions: rows with key, time, `columns`, `known_from` and `known_until`.
        columns: feature columns to return, in this order.
        on: key column or columns, of the same name in both.
        entity_time: column of `entities` with the instant of the entity.
        feature_time: column of `versions` with the instant of the row.
        created_time: column of `versions` with the instant at which a row was written.
        tie_breaks: columns of `versions` that order rows of one key, time and creation.
        ttl: greatest age a row may have, itself included; None for any.

    Returns:
        (n, columns + features) the entities in their order, with `columns` appended.

    Raises:
        UsageError: a column is missing, is in both frames or has a wrong type; a `ttl` below zero.

    >>> at = pl.Series([10, 20, 30]).cast(pl.Datetime("us", "UTC"))
    >>> entities = pl.DataFrame({"unit": ["a", "a"], "event_timestamp": at[[0, 0]], "as_known_at": at[[1, 2]]})
    >>> versions = pl.DataFrame({"unit": ["a", "a"], "recorded_at": at[[0, 0]], "mean": [1.0, 2.0],
    ...     "known_from": at[[0, 2]], "known_until": pl.Series([at[2], None])})
    >>> join_as_known(entities, versions, columns=["mean"])["mean"].to_list()
    [1.0, 2.0]
    """
    keys, created = [on] if isinstance(on, str) else list(on), [created_time] if created_time else []
    lazy = versions.lazy()
    _require(entities, lazy)
    lazy = lazy.filter(pl.col(KNOWN_FROM).is_not_null())  # else one that was never known would hide earlier ones
    known = lazy.with_columns(pl.col(KNOWN_FROM).alias(_FROM), pl.col(KNOWN_UNTIL).alias(_UNTIL))
    newest = point_in_time_join(
        entities,
        known,
        columns=[*columns, _FROM, _UNTIL],
        on=keys,
        entity_time=entity_time,
        feature_time=feature_time,
        created_time=created_time,
        tie_breaks=[*tie_breaks, KNOWN_FROM],
        ttl=ttl,
    ).with_row_index(_PLACE)
    open_ = newest.filter(pl.col(_FROM).is_not_null() & ~_was_known())
    if not open_.height:
        return newest.drop(_PLACE, _FROM, _UNTIL)
    found = _earlier(
        open_.select(_PLACE, *keys, pl.col(entity_time).alias(_TIME), pl.col(KNOWN_AT).cast(INSTANT)),
        lazy,
        keys=keys,
        columns=columns,
        feature_time=feature_time,
        order=[feature_time, *created, *tie_breaks, KNOWN_FROM, KNOWN_UNTIL, *sorted(columns)],
        ttl=ttl,
    )
    return entities.hstack(_merged(newest, open_.select(_PLACE), found, columns=columns).get_columns())


def _was_known() -> pl.Expr:
    """Whether the newest row of an entity was known at its moment."""
    at = pl.col(KNOWN_AT).cast(INSTANT)
    known = (pl.col(_FROM) <= at) & (pl.col(_UNTIL).is_null() | (pl.col(_UNTIL) > at))
    return known.fill_null(value=False)


def _merged(
    newest: pl.DataFrame, open_: pl.DataFrame, earlier: pl.DataFrame, *, columns: Sequence[str]
) -> pl.DataFrame:
    """The values of all entities in their order: the newest, and for open entities an earlier version or nulls."""
    settled = newest.join(open_, on=_PLACE, how="anti").select(_PLACE, *columns)
    values = open_.join(earlier, on=_PLACE, how="left").select(settled.columns)
    return pl.concat([settled, values]).sort(_PLACE).drop(_PLACE)


def _require(entities: pl.DataFrame, versions: pl.LazyFrame) -> None:
    if not isinstance(entities.schema.get(KNOWN_AT), pl.Datetime):
        raise UsageError(
            f"the entities have no instants {KNOWN_AT} (they have: {', '.join(entities.columns)}); add the moments of "
            "the predictions, or join on the time of events alone"
        )
    missing = [name for name in (KNOWN_FROM, KNOWN_UNTIL) if name not in versions.collect_schema()]
    if missing:
        raise UsageError(f"the versions lack {', '.join(missing)}; read them by `scan_versions`")


def _earlier(
    wanted: pl.DataFrame,
    versions: pl.LazyFrame,
    *,
    keys: list[str],
    columns: Sequence[str],
    feature_time: str,
    order: list[str],
    ttl: timedelta | None,
) -> pl.DataFrame:
    """The values of the wanted entities that have a version which was known, by their place."""
    schema = versions.collect_schema()
    tick = tick_of(wanted.schema[_TIME], schema[feature_time])  # polars compares ns with us in us
    matched = wanted.with_columns(pl.col(key).cast(schema[key], strict=False) for key in keys)
    used = dict.fromkeys([*keys, feature_time, KNOWN_FROM, KNOWN_UNTIL, *order, *columns])
    rows = versions.select(*used).join(matched.select(keys).unique().lazy(), on=keys, how="semi").collect().sort(order)
    instants = rows.select(*keys, pl.col(feature_time).alias(_FEATURE_TIME), KNOWN_FROM, KNOWN_UNTIL)
    numbered = instants.with_row_index(_ROW)  # pairs have the number of a row and not its values, often hundreds
    parts = [wanted.select(_PLACE).clear().with_columns(pl.lit(0, pl.get_index_type()).alias(_ROW))]
    for part in _in_parts(matched, rows, keys=keys):
        age = pl.col(_TIME).dt.epoch(tick) - pl.col(_FEATURE_TIME).dt.epoch(tick)
        pairs = part.join(numbered, on=keys, how="inner").filter(
            age.is_between(0, ticks_of(ttl, tick)), is_known(pl.col(KNOWN_AT))
        )
        parts.append(pairs.group_by(_PLACE).agg(pl.col(_ROW).max()))
    last = pl.concat(parts)
    return last.select(_PLACE).hstack(rows.select(pl.col(list(columns)).gather(last[_ROW])).get_columns())


def _in_parts(wanted: pl.DataFrame, rows: pl.DataFrame, *, keys: list[str]) -> Iterator[pl.DataFrame]:
    """The entities in parts of at most `PAIRS_AT_ONCE` pairs with the rows of their keys, or of one entity."""
    counts = rows.group_by(keys).len("pairs")
    counted = wanted.join(counts, on=keys, how="left", maintain_order="left").with_columns(part_of_pairs())
    for part in counted.partition_by("part", maintain_order=True):
        yield part.drop("pairs", "part")


def part_of_pairs() -> pl.Expr:
    """The number of the part of each entity, from the pairs of all entities up to it; these are 32-bit numbers."""
    return (pl.col("pairs").fill_null(0).cast(pl.Int64).cum_sum() // PAIRS_AT_ONCE).alias("part")
