"""The as-of join: each entity at an instant gets the newest feature row that existed then, never a later one.

The feature rows, often millions, are never sorted. Key and instant form one number. The entities, far fewer, are sorted
by their numbers, and each row is assigned to the slot of the first entity that may use it. The newest row of a slot,
carried forward to later slots, is the result. The values, often hundreds of columns, are gathered once at the end.

Rows in any order have the same result. Those of a table, sorted by key and time within each day, take half the time:
a key is looked up once for a run of its rows, and the slots of neighbouring rows are neighbours in memory.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import UsageError

_KEY, _TIME, _ROW, _SLOT = "__key", "__time", "__row", "__slot"
_ANY_AGE = 2**63 - 1  # the greatest number of ticks there is
_NONE = -1  # smaller than any number of a row or of a key and instant

Integers = NDArray[np.int64]


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

    An entity uses the rows of its key whose time is at or before its own and not older than `ttl`. Of rows of one time
    the last created wins, then the one with the greatest `tie_breaks`, then with the greatest values, so the result
    does not depend on the order of rows. An entity without such a row, key or time has nulls. Times without a zone are
    UTC.

    Args:
        entities: (n, columns) rows with key and time.
        features: rows with key, time and `columns`; only the needed columns are read.
        columns: feature columns to return, in this order.
        on: key column or columns, of the same name in both.
        entity_time: column of `entities` with the instant of the prediction.
        feature_time: column of `features` with the instant from which a row is valid.
        created_time: column of `features` with the instant at which a row was written.
        tie_breaks: columns of `features` that order rows of one key, time and creation.
        ttl: greatest age a row may have, itself included; None for any.

    Returns:
        (n, columns + features) the entities in their order, with `columns` appended.

    Raises:
        UsageError: a column is missing, is in both frames or has a wrong type; a `ttl` below zero.

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

    tick = tick_of(entities.schema[entity_time], schema[feature_time])
    wanted = entities.select(*_matching(keys, entities.schema, schema), _instant(entity_time, tick))
    known = wanted.select(keys).unique().drop_nulls().sort(keys).with_row_index(_KEY)
    if isinstance(features, pl.LazyFrame):  # rows after every entity are not read at all
        latest = pl.lit(wanted[_TIME].max(), dtype=pl.Int64)
        lazy = lazy.filter(_instant(feature_time, tick) <= latest).join(known.lazy(), on=keys, how="semi")
    rows = lazy.select(*dict.fromkeys([*keys, feature_time, *created, *tie_breaks, *columns])).collect()
    seen = _numbered(rows.select(*keys, _instant(feature_time, tick)), known, keys=keys)
    numbered = _numbered(wanted, known, keys=keys)
    code, wanted_code = _codes(seen, numbered, n_keys=known.height)
    order = np.argsort(wanted_code)
    newest = _newest(code, wanted_code[order], rows, seen=seen, ties=[*created, *tie_breaks, *sorted(columns)])
    found = _fresh(newest, numbered[order], seen, oldest=ticks_of(ttl, tick), n_entities=entities.height)
    return entities.hstack(rows.select(pl.col(list(columns)).gather(found)).get_columns())


def _require(schema: pl.Schema, columns: Sequence[str], *, of: str) -> None:
    missing = [name for name in dict.fromkeys(columns) if name not in schema]
    if missing:
        raise UsageError(f"the {of} lack {', '.join(missing)} (they have: {', '.join(schema)}); request existing ones")


def _refuse_clashes(present: Sequence[str], columns: Sequence[str]) -> None:
    clashes = [name for name in columns if name in present]
    if clashes:
        raise UsageError(f"{', '.join(clashes)} would occur twice in the result; drop or rename it in the entities")


def tick_of(*dtypes: pl.DataType) -> Literal["us", "ns"]:
    """The unit in which instants of all the given types are whole numbers.

    Args:
        dtypes: of columns.

    Raises:
        UsageError: a type is no instant.
    """
    for dtype in dtypes:
        if not isinstance(dtype, pl.Datetime):
            raise UsageError(f"a time of type {dtype} is no instant (allowed: Datetime, any unit and zone); cast it")
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


def _numbered(rows: pl.DataFrame, known: pl.DataFrame, *, keys: list[str]) -> pl.DataFrame:
    """Number, key and instant of the rows that have an instant and a known key, in their original order."""
    numbered = rows.select(_key_numbers(rows.select(keys), known), _TIME).with_row_index(_ROW)
    has_all = numbered[_TIME].null_count() == 0 and (numbered[_KEY].min() or 0) != _NONE
    return numbered if has_all else numbered.filter(pl.col(_KEY) != _NONE, pl.col(_TIME).is_not_null())


def _key_numbers(rows: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """The number of each row's key, or -1; a key is looked up once for a run of rows that have it."""
    same = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift()) for key in rows.columns)
    starts = np.flatnonzero(~rows.select(same).to_series().to_numpy())
    if rows.height and (not len(starts) or starts[0]):
        starts = np.append(0, starts)  # the key of the first row is null
    has_runs = len(starts) < rows.height / 2
    looked_up = (rows[starts] if has_runs else rows).join(known, on=rows.columns, how="left", maintain_order="left")
    numbers = looked_up[_KEY].cast(pl.Int64).fill_null(_NONE)
    if not has_runs:
        return numbers
    return pl.Series(_KEY, np.repeat(numbers.to_numpy(), np.diff(starts, append=rows.height)))


def _newest(
    code: Integers, wanted_code: Integers, rows: pl.DataFrame, *, seen: pl.DataFrame, ties: Sequence[str]
) -> Integers:
    """(n_entities,) per entity the place in `seen` of the newest row at or before it, of its key or one before; or -1.

    Args:
        code: key and instant of the rows in `seen`.
        wanted_code: the same of the entities, sorted.
        rows: the feature rows themselves, with the columns of `ties`.
        seen: number, key and instant of the feature rows.
        ties: columns that order rows of one key and instant.
    """
    n_slots = len(wanted_code) + 1  # an additional slot after the last entity is for rows without a user
    slot = np.searchsorted(wanted_code, code)
    newest = np.full(n_slots, _NONE)
    np.maximum.at(newest, slot, code)
    winners = np.flatnonzero(code == newest[slot])
    tied = np.bincount(slot[winners])[slot[winners]] > 1
    if tied.any():
        settled = _settle(winners[tied], slot[winners[tied]], rows[seen[_ROW].gather(winners[tied])].select(ties))
        winners = np.concatenate([winners[~tied], settled])
    place = np.full(n_slots, _NONE)
    place[slot[winners]] = winners
    filled = np.where(newest != _NONE, np.arange(n_slots), _NONE)[:-1]
    return np.append(place, _NONE)[np.maximum.accumulate(filled)]


def _codes(seen: pl.DataFrame, wanted: pl.DataFrame, *, n_keys: int) -> tuple[Integers, Integers]:
    """Key and instant of rows and of entities as one number each, in the order of keys, then of instants.

    An entity's number is that of the last instant of any row at or before its own.
    """
    instants, wanted_at = seen[_TIME].to_numpy(), wanted[_TIME].to_numpy()
    first, last = (int(instants.min()), int(instants.max())) if seen.height else (0, 0)
    if (last - first + 2) * n_keys > np.iinfo(np.int64).max:  # too large for one number: instants by their rank
        distinct = np.unique(instants)
        instants, wanted_at = (
            np.searchsorted(distinct, instants),
            np.searchsorted(distinct, wanted_at, side="right") - 1,
        )
        first, last = 0, len(distinct) - 1
    span = last - first + 2  # one for entities before the first row
    wanted_at = np.clip(wanted_at, first - 1, last) - first + 1
    return seen[_KEY].to_numpy() * span + (instants - first + 1), wanted[_KEY].to_numpy() * span + wanted_at


def _settle(places: Integers, slots: Integers, ties: pl.DataFrame) -> Integers:
    """Of places that share a slot, the one whose row is last by its ties."""
    ordered = ties.with_columns(pl.Series(_SLOT, slots), pl.Series(_ROW, places)).sort(_SLOT, *ties.columns)
    return ordered.unique(_SLOT, keep="last")[_ROW].to_numpy()


def _fresh(newest: Integers, wanted: pl.DataFrame, seen: pl.DataFrame, *, oldest: int, n_entities: int) -> pl.Series:
    """(n_entities,) the number of each entity's row; null where there is none: another key's, or too old.

    Args:
        newest: per row of `wanted` a place in `seen`, or -1.
        wanted: number, key and instant of the entities that have them.
        seen: number, key and instant of the feature rows.
        oldest: greatest age in ticks.
        n_entities: how many entities there are.
    """
    there = newest != _NONE
    wanted, row = wanted.filter(there), seen[newest[there]]
    is_seen = (row[_KEY] == wanted[_KEY]) & (wanted[_TIME] - row[_TIME] <= oldest)
    numbers = np.full(n_entities, _NONE)
    numbers[wanted[_ROW].filter(is_seen).to_numpy()] = row[_ROW].filter(is_seen).to_numpy()
    return pl.select(pl.when(pl.lit(numbers >= 0)).then(pl.lit(numbers))).to_series()


def ticks_of(ttl: timedelta | None, tick: Literal["us", "ns"]) -> int:
    """The greatest age in ticks; the largest number where there is no limit.

    Args:
        ttl: greatest age; None for any.
        tick: of `tick_of`.

    Raises:
        UsageError: the age is below zero.
    """
    if ttl is None:
        return _ANY_AGE
    if ttl < timedelta(0):
        raise UsageError(f"a ttl of {ttl} excludes every row (allowed: 0 or more); pass None for no limit")
    return min(ttl // timedelta(microseconds=1) * (1000 if tick == "ns" else 1), _ANY_AGE)
