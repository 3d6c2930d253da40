"""Sends the rows of a table to a time-series store: in batches, around lines that it rejects, and counted afterwards.

A day is sent as a whole: what the store has of it is removed first, so an interrupted day and a corrected one are sent
in the same way. The number of rows in the store is compared with the number that was sent.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from sinet_pipelines.errors import StorageError
from sinet_pipelines.time_series.lines import Lines, Shape, lines_of
from sinet_pipelines.time_series.stores import Store

BATCH_BYTES = 1 << 20  # of one request: stores take 10 MB and more, and a repeated request is small
BATCH_LINES = 5000  # what InfluxDB recommends
MOST_REJECTED = 100  # lines of a day that are set aside; more of them are a fault of the store or its settings
SEEN_S = 60.0  # until rows that were taken can be counted: VictoriaMetrics needs up to 5 s without a flush
STILL_S = 15.0  # of equal numbers, after which no more rows are expected: three times those 5 s
POLL_S = 0.5
SENT_AGAIN = 3  # times that a day is sent whose rows the store has more than once
# what stores write about a line; the rest of a message may have values of the row, so it is not shown
KNOWN = (
    "partial write",
    "beyond retention policy",
    "field type conflict",
    "unable to parse",
    "cannot parse",
    "invalid tag format",
    "invalid number",
    "invalid boolean",
    "bad timestamp",
    "invalid timestamp",
    "missing fields",
    "missing tag",
    "max-series-per-database limit exceeded",
    "max-values-per-tag limit exceeded",
    "too long",
)
OTHER = "rejected for another reason (its message may have values of the row and is not shown)"
SHOWN = 3  # reasons of rejected lines that are kept

Batches = Callable[[], Iterator[pl.DataFrame]]


@dataclass(frozen=True)
class Sent:
    """The rows of a day, or of a table, that a store took.

    Attributes:
        lines: number of lines that it took.
        counted: how many of these have the field by which it counts.
        points: how many of these differ in their series and instant, to the millisecond.
        left_out: rows without a number or an instant, which are no lines.
        set_aside: lines that it rejected.
        reasons: why it rejected the first of them.
    """

    lines: int = 0
    counted: int = 0
    points: int = 0
    left_out: int = 0
    set_aside: int = 0
    reasons: tuple[str, ...] = ()

    def agrees_with(self, stored: int) -> bool:
        """Whether a store that has so many rows has all of these: rows of one instant may count once or each."""
        return self.points - self.set_aside <= stored <= self.counted


@dataclass
class _Tally:
    """What is sent so far."""

    lines: int = 0
    counted: int = 0
    left_out: int = 0
    set_aside: int = 0
    reasons: dict[str, None] = field(default_factory=dict)
    points: list[pl.Series] = field(default_factory=list)
    fault: str = ""

    def whole(self) -> Sent:
        points = pl.concat(self.points).n_unique() if self.points else 0
        lines = self.lines - self.set_aside
        return Sent(lines, self.counted, points, self.left_out, self.set_aside, tuple(self.reasons)[:SHOWN])


def send_rows(store: Store, shape: Shape, batches: Iterable[pl.DataFrame]) -> Sent:
    """Sends rows in batches; a line that the store rejects is set aside, and its neighbours are sent.

    Args:
        store: where to.
        shape: of the table.
        batches: the rows, with the columns of the shape.

    Raises:
        StorageError: the store does not take rows, or rejects more than `MOST_REJECTED` lines.
    """
    tally = _sent(store, shape, batches)
    if tally.fault:
        raise StorageError(tally.fault)
    return tally.whole()


def _sent(store: Store, shape: Shape, batches: Iterable[pl.DataFrame]) -> _Tally:
    """What is sent of some rows; it ends with a fault where the store rejects too many lines."""
    tally = _Tally()
    for rows in batches:
        made = lines_of(rows, shape, keeps_texts=store.keeps_texts)
        for lines in in_requests(made):
            _write(store, lines, tally)
            if tally.fault:
                return tally
        tally.lines += len(made.texts)
        tally.counted += made.counted
        tally.left_out += made.left_out
        tally.points.append(made.points)
    return tally


def in_requests(made: Lines) -> Iterator[list[str]]:
    """The lines in parts of limited number and size; a longer line is a part of its own."""
    part: list[str] = []
    size = 0
    for line in made.texts:
        length = len(line.encode()) + 1
        if part and (len(part) == BATCH_LINES or size + length > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += length
    if part:
        yield part


def _write(store: Store, lines: list[str], tally: _Tally) -> None:
    """Sends lines; where the store rejects them, it gets each half, down to the lines that it rejects."""
    reason = "" if tally.fault else store.write(lines)
    if not reason:
        return
    if len(lines) > 1:
        middle = len(lines) // 2
        _write(store, lines[:middle], tally)
        _write(store, lines[middle:], tally)
        return
    tally.set_aside += 1
    tally.reasons[known_reason(reason)] = None
    if tally.set_aside > MOST_REJECTED:
        tally.fault = (
            f"{store.name} rejects more than {MOST_REJECTED} lines of one day (the first: "
            f"{next(iter(tally.reasons))}); correct its settings, or `kind` and `url` of time_series"
        )


def known_reason(reason: str) -> str:
    """The known parts of a store's reason; other parts may have values of the row, which may not be on a page.

    >>> known_reason("partial write: unable to parse 'm,unit=A1 cycle=x3 17': bad number x3")
    'partial write: unable to parse'
    """
    found = re.findall("|".join(map(re.escape, KNOWN)), reason)
    return ": ".join(dict.fromkeys(found)) or (reason if re.fullmatch(r"status \d{3}", reason) else OTHER)


def send_days(store: Store, shape: Shape, days: Mapping[date, Batches]) -> tuple[dict[date, Sent], dict[date, str]]:
    """Sends days, each in place of what the store has of it, and counts them.

    A day with too many rejected lines is a fault of that day; the others go on.

    Args:
        store: where to.
        shape: of the table; it has days.
        days: for each day, a function that returns its rows; it is called again where the day is sent again.

    Returns:
        The days that are in the store, and for each other day why it is not.

    Raises:
        StorageError: the store does not take rows.
    """
    sent: dict[date, Sent] = {}
    left = dict(days)
    found: dict[date, int] = {}
    rejected: dict[date, str] = {}
    for _ in range(SENT_AGAIN):
        store.flush()
        for day, batches in left.items():
            remove_day(store, shape, day)
            tally = _sent(store, shape, batches())
            if tally.fault:
                rejected[day] = tally.fault
                sent.pop(day, None)
            else:
                sent[day] = tally.whole()
        found |= _counts(store, shape, {day: sent[day] for day in left if day in sent})
        left = {day: days[day] for day in left if day in sent and store.counts and found[day] > sent[day].counted}
        if not left:
            break
    faults = rejected | {
        day: _disagreement(store, one, found[day])
        for day, one in sent.items()
        if store.counts and not one.agrees_with(found[day])
    }
    return {day: one for day, one in sent.items() if day not in faults}, faults


def remove_day(store: Store, shape: Shape, day: date) -> bool:
    """Removes what a store has of a day; returns whether it had any.

    Raises:
        StorageError: the store does not answer, or may not remove rows.
    """
    if not store.counts or not store.count(shape, day):
        return False
    store.remove(shape, day)
    return True


def _counts(store: Store, shape: Shape, sent: Mapping[date, Sent]) -> dict[date, int]:
    """The rows in the store of each day: once they agree with what was sent, or no more of them arrive."""
    if not store.counts:
        return {}
    changed_s = began_s = time.monotonic()
    found, left = dict[date, int](), list(sent)
    while True:
        store.flush()
        counted = {day: store.count(shape, day) for day in left}
        now_s = time.monotonic()
        if any(found.get(day) != number for day, number in counted.items()):
            changed_s = now_s
        found |= counted
        left = [day for day in left if found[day] < sent[day].points - sent[day].set_aside]
        if not left or now_s - began_s > SEEN_S or now_s - changed_s > STILL_S:
            return found
        time.sleep(POLL_S)


def _disagreement(store: Store, sent: Sent, stored: int) -> str:
    cure = (
        "its retention may be shorter than the day is old, it may limit its series, or it stores fields by other names"
        if stored < sent.points
        else "another program sends rows of this table there"
    )
    return f"{store.name} has {stored} rows of {sent.counted} that were sent: {cure}"
