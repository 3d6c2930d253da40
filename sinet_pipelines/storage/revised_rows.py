"""Which rows of a part stay, came and went, and the instants from and until which each was known."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.revised_days import Part
from sinet_pipelines.storage.tables import DAY_COLUMN, empty
from sinet_pipelines.storage.versions import INSTANT, ROW, ArrivalsOf, end_of_day

#: Recorded in place of the arrival of a row whose day was refused: it is known from the step that takes it in.
REFUSED = datetime(9999, 1, 1, tzinfo=UTC)
_NOTED = "__noted"


@dataclass(frozen=True)
class Facts:
    """What the rows of a part do not show of their days as a whole, and of the revision.

    Attributes:
        had_rows: days that have rows now.
        keep_rows: days of which any row stays.
        arrivals: the instants of arrival of new rows.
        at: instant of the change, UTC.
    """

    had_rows: Collection[date]
    keep_rows: Collection[date]
    arrivals: ArrivalsOf
    at: datetime


@dataclass(frozen=True)
class RevisedPart:
    """What is recorded beside the table about a part: rows of `history_of` and of `arrivals_of` the table.

    Attributes:
        history: the former rows.
        arrivals: the instants of the others, and of those that go, until the table is written.
        changed: the days on which any row came or went.
    """

    history: pl.DataFrame
    arrivals: pl.DataFrame
    changed: pl.Series


def revised(part: Part, contract: Contract, facts: Facts) -> RevisedPart:
    """What is recorded about a part, by the rules of `keep_versions`.

    Args:
        part: the rows.
        contract: of the table.
        facts: what they do not show of their days.
    """
    known = part.present.join(part.arrivals.select(ROW, DAY_COLUMN, KNOWN_FROM), on=[DAY_COLUMN, ROW], how="left")
    stay = known.join(part.new, on=[DAY_COLUMN, ROW], how="semi")
    fresh = part.new.join(known, on=[DAY_COLUMN, ROW], how="anti")
    gone = known.join(part.new, on=[DAY_COLUMN, ROW], how="anti")
    came = _arrivals_of(fresh, facts.arrivals, recorded=part.arrivals)
    renamed = _renamed(gone, came, facts.keep_rows, key=contract.key)
    came = _from_now_on(came, part, facts, renamed=renamed)
    former = _former(part, contract, gone.join(renamed, on=[DAY_COLUMN, ROW], how="anti"), came, at=facts.at)
    kept = part.history.join(_instants(known), on=[DAY_COLUMN, ROW, KNOWN_FROM], how="anti")  # without those of a kill
    history = pl.concat([kept, former])
    came = _after(came, history, key=contract.key)
    noted = pl.concat([stay, came, gone]).filter(pl.col(KNOWN_FROM).is_not_null())  # of `gone`: until it is replaced
    return RevisedPart(history, noted, changed=pl.concat([fresh[DAY_COLUMN], gone[DAY_COLUMN]]).unique())


def refused(part: Part) -> pl.DataFrame:
    """The new rows of a part, of refused days, that were in no table until now, with `REFUSED` as their arrival."""
    known = pl.concat([one.select(DAY_COLUMN, ROW) for one in (part.present, part.arrivals)])
    rows = part.new.unique([DAY_COLUMN, ROW], maintain_order=True)
    return rows.join(known, on=[DAY_COLUMN, ROW], how="anti").with_columns(_literal(REFUSED).alias(KNOWN_FROM))


def _arrivals_of(fresh: pl.DataFrame, arrivals: ArrivalsOf, *, recorded: pl.DataFrame) -> pl.DataFrame:
    """The new rows with `known_from`: their arrival, or a later instant that a killed or lost write has recorded."""
    parts = [fresh.clear().with_columns(pl.lit(None, INSTANT).alias(KNOWN_FROM))]
    for (day,), rows in fresh.group_by(DAY_COLUMN, maintain_order=True):
        parts.append(rows.join(arrivals(day, rows[ROW]).select(ROW, KNOWN_FROM), on=ROW, how="left"))
    noted = recorded.select(DAY_COLUMN, ROW, pl.col(KNOWN_FROM).alias(_NOTED))
    known = pl.concat(parts).join(noted, on=[DAY_COLUMN, ROW], how="left", maintain_order="left")
    return known.with_columns(pl.max_horizontal(KNOWN_FROM, _NOTED).alias(KNOWN_FROM)).drop(_NOTED)


def _renamed(
    gone: pl.DataFrame, came: pl.DataFrame, keep_rows: Collection[date], *, key: Sequence[str]
) -> pl.DataFrame:
    """The rows of `gone` that are there still with another hash, on days all of whose rows have another one."""
    names = list(dict.fromkeys((DAY_COLUMN, *key)))
    other = came.filter(~pl.col(DAY_COLUMN).is_in(list(keep_rows))).select(*names, KNOWN_FROM)
    return gone.join(other, on=[*names, KNOWN_FROM], how="semi", nulls_equal=True)


def _from_now_on(came: pl.DataFrame, part: Part, facts: Facts, *, renamed: pl.DataFrame) -> pl.DataFrame:
    """The new rows, with the present instant in place of their arrival where they were in no table until now.

    Among them is a row whose arrival is unknown, on a day that had rows before: it was not among them.
    """
    now, keys = _literal(facts.at), [name for name in came.columns if name not in (ROW, KNOWN_FROM)]
    back = pl.concat([part.history[ROW], part.aside])
    is_new = pl.col(KNOWN_FROM).is_null() & pl.col(DAY_COLUMN).is_in(list(facts.had_rows))
    is_new |= pl.col(KNOWN_FROM) == _literal(REFUSED)
    same = came.join(renamed, on=keys, how="semi", maintain_order="left")
    others = came.join(renamed, on=keys, how="anti", maintain_order="left").with_columns(
        pl.when(is_new | pl.col(ROW).is_in(back.implode())).then(now).otherwise(KNOWN_FROM).alias(KNOWN_FROM)
    )
    return pl.concat([same, others])


def _after(came: pl.DataFrame, former: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The new rows, none of them known before the last former row with its key ended."""
    ends = former.group_by(list(key)).agg(pl.col(KNOWN_UNTIL).max())
    ended = came.join(ends, on=list(key), how="left", maintain_order="left")
    begins = pl.col(KNOWN_FROM).fill_null(end_of_day())
    is_early = (begins < pl.col(KNOWN_UNTIL)).fill_null(value=False)
    return ended.with_columns(pl.when(is_early).then(KNOWN_UNTIL).otherwise(KNOWN_FROM).alias(KNOWN_FROM)).drop(
        KNOWN_UNTIL
    )


def _former(part: Part, contract: Contract, gone: pl.DataFrame, came: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """The rows of `gone` with all columns and both instants; without those that never were known."""
    former = empty(history_of(contract))
    if not gone.height:
        return former
    rows = part.only(part.sources.whole).join(_instants(gone).lazy(), on=[DAY_COLUMN, ROW], how="inner").collect()
    successors = _instants(came).group_by(contract.key).agg(pl.col(KNOWN_FROM).min().alias(KNOWN_UNTIL))
    ended = rows.join(successors, on=contract.key, how="left").with_columns(
        pl.when(pl.col(KNOWN_UNTIL) > pl.col(KNOWN_FROM)).then(KNOWN_UNTIL).otherwise(_literal(at)).alias(KNOWN_UNTIL)
    )
    return ended.filter(pl.col(KNOWN_FROM) < pl.col(KNOWN_UNTIL)).select(former.columns)


def _instants(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with an instant in place of the null that stands for the end of the day."""
    return rows.with_columns(pl.col(KNOWN_FROM).fill_null(end_of_day()))


def _literal(instant: datetime) -> pl.Expr:
    return pl.lit(instant).cast(INSTANT)
