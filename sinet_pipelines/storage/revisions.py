"""Records beside a table what its rows were and since when, before some of its days are replaced.

History and arrivals are written before the table: a process that is killed in between leaves entries that the next
write replaces. Of a day with many rows, one range of its key is in memory at a time, and each table beside is written
in one commit.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from sinet_pipelines.schemas.arrival import KNOWN_FROM, KNOWN_UNTIL, arrivals_of, history_of
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.aside import DAMAGED, is_set_aside
from sinet_pipelines.storage.beside import Replacement, damaged_days
from sinet_pipelines.storage.revised_days import ROWS_AT_ONCE, Days, Part, Sources
from sinet_pipelines.storage.revised_rows import REFUSED, Facts, RevisedPart, refused, revised
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore, empty
from sinet_pipelines.storage.versions import INSTANT, ROW, ArrivalsOf


@dataclass(frozen=True)
class Revision:
    """The change of some days of a table, before it is written.

    Attributes:
        days: the days that are replaced.
        rows: their new rows: `event_date`, the key and `row_hash`; one frame, or frames that can be iterated again.
        arrivals: the instants of arrival of new rows.
        at: instant of the change, UTC.
        withheld: the table of rows that were set aside until now: `event_date`, the key and `row_hash`; None for none.
    """

    days: Sequence[date]
    rows: pl.DataFrame | Iterable[pl.DataFrame]
    arrivals: ArrivalsOf
    at: datetime
    withheld: Contract | None = None

    @property
    def frames(self) -> Iterable[pl.DataFrame]:
        """The new rows in frames."""
        return [self.rows] if isinstance(self.rows, pl.DataFrame) else self.rows


def keep_versions(
    store: TableStore, contract: Contract, revision: Revision, *, rows_at_once: int = ROWS_AT_ONCE
) -> None:
    """Records the arrivals of the new rows and the history of the former ones; call it before the days are replaced.

    A row that stays has its instant still. A new row is known from its arrival; one that was there before and comes
    back, or that was set aside until now, from now on. A former row was known until the arrival of the row with its key
    that replaces it, else until now, and the row that replaces it is known from then on: of one key, at most one row is
    known at an instant. Where all rows of a day have other hashes but their arrivals still, their contract changed, and
    they are the same rows. Nothing is written where no arrival is known and nothing was replaced.

    Args:
        store: tables of one region.
        contract: of a table with `event_date` and `row_hash`; rows of equal hash have equal keys.
        revision: the change.
        rows_at_once: number of rows, of all tables together, that are in memory at once.

    Raises:
        StorageError: a table cannot be read or written.
    """
    days = sorted(set(revision.days))
    _mend_arrivals(store, contract, revision.arrivals, rows_at_once=rows_at_once)
    with Sources(store, contract, revision.withheld) as sources:
        if not any(sources.recorded[day] for day in days) and not _is_any_known(revision, days):
            return  # days that come for the first time, with nothing to note: a large day needs no join
        for rows in revision.frames:
            sources.take(rows)
        later = replace(revision, at=_after_recorded(sources, days, revision.at))
        for some in sources.groups(days, rows_at_once=rows_at_once):
            _keep(store, contract, later, some)


def withhold(
    store: TableStore,
    contract: Contract,
    rows: Iterable[pl.DataFrame],
    *,
    arrivals: ArrivalsOf,
    days: Collection[date] | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
) -> None:
    """Records rows of refused days, so that they are known from the step that takes them in, not from their arrival.

    Args:
        store: tables of one region.
        contract: of the table that does not get these rows now; rows of equal hash have equal keys.
        rows: frames with `event_date`, the key and `row_hash`; a row without its key is left out.
        arrivals: the instants of arrival of present rows, for damaged days of the table of arrivals.
        days: the refused days; None for those of all rows.
        rows_at_once: as for `keep_versions`.

    Raises:
        StorageError: a table cannot be read or written.
    """
    if days is not None and not days:
        return
    _mend_arrivals(store, contract, arrivals, rows_at_once=rows_at_once)
    with Sources(store, contract) as sources:
        for frame in rows:
            named = frame.select(sources.names).drop_nulls()
            sources.take(named if days is None else named.filter(pl.col(DAY_COLUMN).is_in(list(days))))
        for some in sources.groups(sources.days, rows_at_once=rows_at_once):
            with Replacement(store, arrivals_of(contract), some.days) as recorded:
                is_any = False
                for part in some:
                    added = refused(part)
                    recorded.add(pl.concat([part.arrivals, added]), was=part.arrivals)
                    is_any = is_any or added.height > 0
                if is_any:
                    recorded.write()


def _keep(store: TableStore, contract: Contract, revision: Revision, days: Days) -> None:
    """Writes the history and the arrivals of some days, in this order."""
    facts = _facts(days, revision)
    history, arrivals = (Replacement(store, one, days.days) for one in (history_of(contract), arrivals_of(contract)))
    with history, arrivals:
        is_changed = False
        for part in days:
            found = revised(part, contract, facts)
            history.add(found.history, was=part.history)
            arrivals.add(_arrivals_of_changed_days(found, part), was=part.arrivals)
            is_changed = is_changed or not found.changed.is_empty()
        history.write()
        if is_changed:
            arrivals.write()


def _arrivals_of_changed_days(found: RevisedPart, part: Part) -> pl.DataFrame:
    """The new arrivals; a day to which no row came and from which none went keeps its entries, also of refused rows."""
    if len(part.days) == 1:
        return found.arrivals  # the other parts of the day may have changed
    is_changed = pl.col(DAY_COLUMN).is_in(found.changed.implode())
    return pl.concat([found.arrivals.filter(is_changed), part.arrivals.filter(~is_changed)])


def _facts(days: Days, revision: Revision) -> Facts:
    """Which of the days have rows, and of which any row stays; nearly always the first part suffices."""
    had_rows, keep_rows = set[date](), set[date]()
    for part in days:
        had_rows.update(part.present[DAY_COLUMN].unique())
        keep_rows.update(part.present.join(part.new, on=[DAY_COLUMN, ROW], how="semi")[DAY_COLUMN].unique())
        if len(keep_rows) == len(days.days):
            break
    return Facts(sorted(had_rows), sorted(keep_rows), revision.arrivals, revision.at)


def _mend_arrivals(store: TableStore, contract: Contract, arrivals: ArrivalsOf, *, rows_at_once: int) -> None:
    """Fills the damaged days of the table of arrivals from those of the files, for the present rows."""
    beside = arrivals_of(contract)
    damaged = damaged_days(store, beside)
    if None in damaged or _is_set_aside(store, beside):
        _make_arrivals_anew(store, contract, arrivals, rows_at_once=rows_at_once)
    elif damaged:
        days = sorted(map(date.fromisoformat, filter(None, damaged)))
        with Sources(store, contract) as sources:
            for some in sources.groups(days, rows_at_once=rows_at_once):
                with Replacement(store, beside, some.days) as filled:
                    for part in some:
                        filled.add(_arrivals_of_present(part, arrivals), was=empty(beside))
                    filled.write()


def _make_arrivals_anew(store: TableStore, contract: Contract, arrivals: ArrivalsOf, *, rows_at_once: int) -> None:
    """Makes the whole table of arrivals in one commit: after a kill, it is damaged or missing still, or complete."""
    beside, days = arrivals_of(contract), sorted(store.days(contract))
    if not days:
        return
    with Sources(store, contract) as sources, Replacement(store, beside, days) as filled:
        for some in sources.groups(days, rows_at_once=rows_at_once):
            for part in some:
                filled.add(_arrivals_of_present(part, arrivals), was=empty(beside))
        filled.write_as_whole()


def _arrivals_of_present(part: Part, arrivals: ArrivalsOf) -> pl.DataFrame:
    """The rows of the table of arrivals for the present rows of a part, by the arrivals of the files."""
    found = [part.present.clear().with_columns(pl.lit(None, INSTANT).alias(KNOWN_FROM))]
    for (day,), rows in part.present.group_by(DAY_COLUMN, maintain_order=True):
        known = arrivals(day, rows[ROW]).select(ROW, KNOWN_FROM)
        found.append(rows.join(known, on=ROW, how="left").drop_nulls(KNOWN_FROM))
    return pl.concat(found)


def _is_set_aside(store: TableStore, beside: Contract) -> bool:
    """Whether a local table was moved away as damaged, and no other was made since: the process was killed between."""
    if store.scratch is None or store.exists(beside):
        return False
    place = Path(store.uri(beside))
    return is_set_aside(place.parent, place.name, why=DAMAGED)


def _after_recorded(sources: Sources, days: Sequence[date], at: datetime) -> datetime:
    """The instant of a change, later than all recorded instants of its days: a clock may have been set back.

    Midnights do not count: a row of unknown arrival has the end of a day, which may be in the future.
    """
    newest, refused_at = at, pl.lit(REFUSED).cast(INSTANT)
    for rows, column in (
        (sources.arrivals, KNOWN_FROM),
        (sources.history, KNOWN_FROM),
        (sources.history, KNOWN_UNTIL),
    ):
        is_real = (pl.col(column) != refused_at) & (pl.col(column).dt.truncate("1d") != pl.col(column))
        of_days = rows.filter(pl.col(DAY_COLUMN).is_in(days), is_real)
        last = of_days.select(pl.col(column).max()).collect(engine="streaming").item()
        if last is not None and last >= newest:
            newest = last + timedelta(microseconds=1)
    return newest


def _is_any_known(revision: Revision, days: Sequence[date]) -> bool:
    """Whether the instant of arrival of any row of these days may be known.

    One row of each day suffices: the instants are those of the day's files, or the same for all of its rows.
    """
    one_of_each: dict[date, str] = {}
    for rows in revision.frames:
        for day, row in rows.group_by(DAY_COLUMN, maintain_order=True).agg(pl.col(ROW).first()).iter_rows():
            one_of_each.setdefault(day, row)
        if len(one_of_each) == len(days):
            break
    return any(
        arrivals[KNOWN_FROM].is_not_null().any()
        for day, row in one_of_each.items()
        for arrivals in [revision.arrivals(day, pl.Series(ROW, [row]))]
    )
