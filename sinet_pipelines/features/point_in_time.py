"""The as-of join: to each entity at an instant, the newest feature row that was there by then, never one of its future.

Only keys and times are sorted and joined; the values, often hundreds of columns, are gathered once at the end.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import polars as pl

from sinet_pipelines.errors import UsageError

_KEY, _TIME, _SEEN, _ROW, _ENTITY = "__key", "__time", "__seen", "__row", "__entity"
_ANY_AGE = 2**63 - 1  # the greatest number of ticks there is


def point_in_time_join(
    entities: pl.DataFrame,
    features: pl.DataFrame | pl.LazyFrame,
    *,
    columns: Sequence[str],
    on: str | Sequence[str] = "unit",
    entity_time: str = "event_timestamp",
    feature_time: str = "recorded_at",
    created_time: str | None = None,
    tie_breaks: Sequence[str] = (),
    ttl: timedelta | None = None,
) -> pl.DataFrame:
    """The entities with the feature values that were the newest at their instants.

    An entity sees the rows of its key whose time is at or before its own and not older than `ttl`. Of rows of one
    time the last created wins, then the one with the greatest `tie_breaks`, then with the greatest values: the answer
    depends on no order of rows. An entity without such a row, key or time has nulls. Times without a zone are UTC.

    Args:
        entities: (n, columns) rows with key and time.
        features: rows with key, time and `columns`; only what the join needs of them is read.
        columns: feature columns wanted, in this order.
        on: key column or columns, of the same name in both.
        entity_time: column of `entities` with the instant asked about.
        feature_time: column of `features` with the instant a row became true.
        created_time: column of `features` with the instant a row was written.
        tie_breaks: columns of `features` that order rows of one key, time and creation.
        ttl: greatest age a row may have, itself included; None for any.

    Returns:
        (n, columns + features) the entities in their order, with `columns` appended.

    Raises:
        UsageError: a column is missing, stands in both frames or is of no fitting type; a `ttl` below zero.

    >>> at = pl.Series([20, 10, 9]).cast(pl.Datetime("us", "UTC"))
    >>> entities = pl.DataFrame({"unit": ["a", "a", "a"], "event_timestamp": at})
    >>> features = pl.DataFrame({"unit": ["a", "a"], "recorded_at": at[:2], "mean": [2.0, 1.0]})
    >>> point_in_time_join(entities, features, columns=["mean"])["mean"].to_list()
    [2.0, 1.0, None]
    """
    keys = [on] if isinstance(on, str) else list(on)
    created = [created_time] if created_time else []
    lazy = features.lazy()
    schema = lazy.collect_schema()
    _require(entities.schema, [*keys, entity_time], of="entities")
    _require(schema, [*keys, feature_time, *created, *tie_breaks, *columns], of="features")
    _refuse_clashes(entities.columns, columns)

    tick = _tick(entities.schema[entity_time], schema[feature_time])
    asked = entities.select(*_matching(keys, entities.schema, schema), _instant(entity_time, tick))
    known = asked.select(keys).unique().drop_nulls().with_row_index(_KEY)
    needed = dict.fromkeys([*keys, feature_time, *created, *tie_breaks, *columns])
    rows = _past(lazy.select(*needed, _instant(feature_time, tick)), known, keys=keys, until=asked[_TIME])
    ordered = _in_order(rows, moment=[_KEY, _TIME, *created], tie_breaks=[*tie_breaks, *sorted(columns)])
    asked = asked.join(known, on=keys, how="left", maintain_order="left")
    found = _as_of(asked, ordered, oldest=_ticks(ttl, tick))
    return entities.hstack(rows.select(pl.col(list(columns)).gather(found)).get_columns())


def _require(schema: pl.Schema, columns: Sequence[str], *, of: str) -> None:
    missing = [name for name in dict.fromkeys(columns) if name not in schema]
    if missing:
        raise UsageError(f"the {of} lack {', '.join(missing)} (they have: {', '.join(schema)}); ask for what is there")


def _refuse_clashes(present: Sequence[str], columns: Sequence[str]) -> None:
    clashes = [name for name in columns if name in present]
    if clashes:
        raise UsageError(f"{', '.join(clashes)} would stand twice in the result; drop or rename it in the entities")


def _tick(*dtypes: pl.DataType) -> Literal["us", "ns"]:
    """The unit in which instants of all the given types are whole numbers."""
    for dtype in dtypes:
        if not isinstance(dtype, pl.Datetime):
            raise UsageError(f"a time of type {dtype} is no instant (allowed: Datetime, of any unit and zone); cast it")
    return "ns" if any(dtype.time_unit == "ns" for dtype in dtypes if isinstance(dtype, pl.Datetime)) else "us"


def _instant(column: str, tick: Literal["us", "ns"]) -> pl.Expr:
    """Ticks since the epoch, whatever the zone; a time without one is UTC."""
    return pl.col(column).dt.epoch(tick).alias(_TIME)


def _matching(keys: Sequence[str], entities: pl.Schema, features: pl.Schema) -> list[pl.Expr]:
    """The entities' keys in the features' types; a value that this type cannot hold is null and matches no row."""
    for key in keys:
        ours, theirs = entities[key], features[key]
        alike = ours == theirs or (ours.is_integer() and theirs.is_integer()) or (_is_text(ours) and _is_text(theirs))
        if not alike:
            raise UsageError(f"key {key} is {ours} in the entities and {theirs} in the features; cast one to the other")
    return [pl.col(key).cast(features[key], strict=False) for key in keys]


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _past(features: pl.LazyFrame, known: pl.DataFrame, *, keys: list[str], until: pl.Series) -> pl.DataFrame:
    """The numbered rows of the known keys that some entity may see."""
    latest = pl.lit(until.max(), dtype=pl.Int64)
    rows = features.filter(pl.col(_TIME) <= latest).join(known.lazy(), on=keys).collect()
    return rows.with_row_index(_ROW)


def _in_order(rows: pl.DataFrame, *, moment: Sequence[str], tie_breaks: Sequence[str]) -> pl.DataFrame:
    """Key, time and number of the rows, in the order in which later ones win; one row a moment."""
    ordered = rows.select(*moment, _ROW).sort(moment)
    same = ordered.select(
        pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in moment)
    ).to_series()
    if not same.any():
        return ordered
    tied = same | same.shift(-1, fill_value=False)
    settled = rows[ordered.filter(tied)[_ROW]].sort(*moment, *tie_breaks).unique(moment, keep="last")
    return pl.concat([ordered.filter(~tied), settled.select(ordered.columns)]).sort(moment)


def _ticks(ttl: timedelta | None, tick: Literal["us", "ns"]) -> int:
    """The greatest age in ticks; as good as any where there is no limit."""
    if ttl is None:
        return _ANY_AGE
    if ttl < timedelta(0):
        raise UsageError(f"a ttl of {ttl} lets no row be seen (allowed: 0 or more); give None for no limit")
    return min(ttl // timedelta(microseconds=1) * (1000 if tick == "ns" else 1), _ANY_AGE)


def _as_of(asked: pl.DataFrame, ordered: pl.DataFrame, *, oldest: int) -> pl.Series:
    """(n,) per entity the number of the row it sees, null for none.

    Args:
        asked: key and time of the entities.
        ordered: key, time and number of the rows, in the order in which later ones win.
        oldest: greatest age in ticks.
    """
    left = asked.select(_KEY, _TIME).with_row_index(_ENTITY).sort(_TIME)
    right = ordered.select(_KEY, _TIME, _ROW, pl.col(_TIME).alias(_SEEN))
    # of rows of one time join_asof takes the last, which is the last created; each key's rows are in order of time
    joined = left.join_asof(right, on=_TIME, by=_KEY, strategy="backward", check_sortedness=False)
    is_fresh = pl.col(_TIME) - pl.col(_SEEN) <= oldest
    return joined.sort(_ENTITY).select(pl.when(is_fresh).then(_ROW)).to_series()
