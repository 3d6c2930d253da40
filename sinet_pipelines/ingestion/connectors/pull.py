"""Pulls the new parts of one source once, and lands their rows as drops of their day, each exactly once.

The order of a commit: the keys of the drops, the drops, dead letters, then the state. A pull that is killed in between
leaves keys in the state; the next one removes those drops and reads their rows again. A drop's name has the digest of
its part and the hash of its content, so what lands again has the same name.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import polars as pl

from sinet_pipelines.errors import BusyError, SinetError
from sinet_pipelines.ingestion.connectors.first_day import FirstDay
from sinet_pipelines.ingestion.connectors.letters import Letters
from sinet_pipelines.ingestion.connectors.source import Part, Source, UnreadableError, UnreadPiece
from sinet_pipelines.ingestion.connectors.taken import Taken, source_id
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.streams.drops_of_streams import as_sent
from sinet_pipelines.ingestion.zone_file import ZoneFile
from sinet_pipelines.schemas.contract import RECORDED_AT
from sinet_pipelines.storage.objects import Objects

DROP_ROWS = 250_000  # of one part, which are in memory at once
DROP_BYTES = 128 << 20
WAITING_BYTES = 64 << 20  # of encoded drops before they are written
WAITING_PARTS = 500  # before the state is saved
WAITING_LETTERS = 10_000  # before they are stored
WAITING_LETTER_BYTES = 16 << 20
WAITING_S = 5.0
EXAMPLES = 5  # of each kind in the totals


@dataclass
class Totals:
    """What a pull did.

    Attributes:
        parts: parts that landed: files, or pieces of a table.
        rows: landed rows.
        drops: files in the landing zone with these rows.
        withdrawn: files of the landing zone that were removed, since their file at the source was replaced.
        dead_letters: pieces that are no rows.
        unreadable: files without any row, each with the reason.
        set_aside: number of rows with a value that has no place in the type of a column, by column.
        before_first_day: landed rows of a day before the first one of the home, which no table has.
        reasons: examples of dead letters.
        unknown: ignored columns.
    """

    parts: int = 0
    rows: int = 0
    drops: int = 0
    withdrawn: int = 0
    dead_letters: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    before_first_day: int = 0
    reasons: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)


@dataclass
class _Open:
    """A part that is read at the moment."""

    part: Part
    frames: list[pl.DataFrame] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    counted: Totals = field(default_factory=Totals)
    held_rows: int = 0
    held_bytes: int = 0
    chunks: int = 0


class Pull:
    """Lands the new rows of one source.

    Args:
        source: the source.
        taken: its state.
        letters: its dead letters.
        zone: the landing zones of the application.
        region: region of the rows.
        objects: the root of the region.
        first_day: first day of a home in which nothing has landed; None for the earliest day of the pulled rows.
        report: is called often, to show the progress.
    """

    def __init__(
        self,
        source: Source,
        taken: Taken,
        letters: Letters,
        *,
        zone: LandingZone,
        region: str,
        objects: Objects,
        first_day: date | None = None,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        self.totals = Totals()
        self.source = source
        self._taken, self._letters, self._objects = taken, letters, objects
        self._zone, self._region, self._report = zone, region, report
        pull = f"{region}/{source_id(source.name)}"
        self._first = FirstDay(zone.home, zone.data.application, pull=pull, wanted=first_day)
        self._prefix = f"pull_{source_id(source.name)}"
        self._files: list[tuple[ZoneFile, bytes]] = []
        self._held_bytes = 0  # of these files, about
        self._landed: list[tuple[Part, list[str]]] = []
        self._refused: list[Part] = []
        self._waiting_letters: list[tuple[str, UnreadPiece]] = []
        self._deleted: set[str] = set()
        self._since = time.monotonic()

    def run(self) -> None:
        """Lands all new parts.

        Raises:
            SourceError: there is no such source.
            UnreachableError: the source went away; what was read completely before that has landed.
            BusyError: another process takes rows from the source.
            StorageError: the region's storage cannot be written.
        """
        with closing(self.source.parts(self._taken)) as parts:
            part = next(parts, None)  # connects, so that a source that is away changes nothing
            self._remove(self._taken.pending)
            try:
                while part is not None:
                    self._land(part)
                    part = next(parts, None)
            except BusyError:
                raise  # another pull took over; its drops have the same names
            except SinetError:
                self._commit()
                self._remove(self._taken.pending)
                raise
        self._commit()
        gone = self._taken.withdraw()
        self._remove(gone)
        self.totals.withdrawn = len(gone)
        self._first.close()
        self._report()

    def _land(self, part: Part) -> None:
        opened = _Open(part)
        waiting = {one.digest for one, _ in self._landed}
        if part.position is None and (part.digest in waiting or self._taken.has(part.digest)):
            self._landed.append((part, []))  # known under another name; its drops are the same
            return
        try:
            for block in part.blocks:
                opened.counted.unknown |= block.unknown
                self._add_letters(opened, block.dead)
                if block.rows.height:
                    opened.frames.append(block.rows)
                    opened.held_rows += block.rows.height
                    opened.held_bytes += int(block.rows.estimated_size())
                if opened.held_rows >= DROP_ROWS or opened.held_bytes >= DROP_BYTES:
                    self._encode(opened)
                self._report()
        except UnreadableError as error:
            self._discard(opened)
            self._waiting_letters = [one for one in self._waiting_letters if one[0] != part.name]
            self._add_letters(opened, [UnreadPiece(0, b"", str(error))])
            self.totals.unreadable[part.name] = str(error)
            self._refused.append(part)
        else:
            self._encode(opened)
            self._landed.append((part, opened.keys))
            self._count(opened.counted)
        if self._is_due() or part.position is not None:
            self._commit()

    def _encode(self, opened: _Open) -> None:
        """Makes the drops of the rows in memory: one a day."""
        if not opened.frames:
            return
        rows = pl.concat(opened.frames)
        opened.frames, opened.held_rows, opened.held_bytes = [], 0, 0
        opened.chunks += 1
        counted = opened.counted
        counted.rows += rows.height
        _count_unparsed(rows["unparsed"], counted.set_aside)
        name = f"{self._prefix}_{opened.part.digest[:12]}_{opened.chunks:05d}"
        day = pl.col(RECORDED_AT).fill_null(datetime.now(UTC)).dt.date()  # without an instant: validation sets it aside
        parts = {found: part for (found,), part in rows.group_by(day, maintain_order=True)}
        first = self._first.including(parts)
        for found, part in sorted(parts.items()):
            counted.before_first_day += part.height if first is not None and found < first else 0
            drop = as_sent(part, self._zone.data.drop)
            file, content = self._zone.drop_file(self._region, found, name=name, rows=drop)
            opened.keys.append(file.key)
            self._files.append((file, content))
            self._held_bytes += len(content)
            counted.drops += 1
            if self._held_bytes >= WAITING_BYTES:
                self._write()

    def _write(self) -> None:
        """Writes the waiting drops after their keys."""
        if self._files:
            self._taken.plan(file.key for file, _ in self._files)
            for file, content in self._files:
                file.keep(content)
                self._report()
        self._files, self._held_bytes = [], 0

    def _discard(self, opened: _Open) -> None:
        """Removes the drops of a part that turned out to be unreadable."""
        keys = set(opened.keys)
        self._files = [(file, content) for file, content in self._files if file.key not in keys]
        written = [key for key in self._taken.pending if key in keys]
        if written:
            self._taken.claim()
        for key in written:
            self._objects.delete(key)
        self._deleted.update(written)

    def _add_letters(self, opened: _Open, letters: Sequence[UnreadPiece]) -> None:
        """Counts dead letters, and stores them where they are many; a pull that is repeated stores none again."""
        part, totals = opened.part, self.totals
        totals.dead_letters += len(letters)
        for letter in letters[: max(0, EXAMPLES - len(totals.reasons))]:
            place = f", line {letter.place}" if letter.place else ""
            totals.reasons.append(f"{part.name}{place}: {letter.reason}")
        self._waiting_letters += [(part.name, letter) for letter in letters]
        held = sum(len(letter.payload) for _, letter in self._waiting_letters) if letters else 0
        if len(self._waiting_letters) >= WAITING_LETTERS or held >= WAITING_LETTER_BYTES:
            self._letters.append(self._waiting_letters)
            self._waiting_letters = []

    def _count(self, counted: Totals) -> None:
        totals = self.totals
        totals.parts += 1
        totals.rows += counted.rows
        totals.drops += counted.drops
        totals.before_first_day += counted.before_first_day
        totals.unknown |= counted.unknown
        for column, count in counted.set_aside.items():
            totals.set_aside[column] = totals.set_aside.get(column, 0) + count

    def _is_due(self) -> bool:
        return len(self._landed) + len(self._refused) >= WAITING_PARTS or time.monotonic() - self._since >= WAITING_S

    def _commit(self) -> None:
        """Makes durable what was read completely."""
        if self._landed or self._refused:
            complete = {key for _, keys in self._landed for key in keys}
            self._files = [(file, content) for file, content in self._files if file.key in complete]
            self._write()
            self._letters.append(self._waiting_letters)
            done = complete | self._deleted
            self._taken.confirm(self._landed, self._refused, [key for key in self._taken.pending if key not in done])
        self._landed, self._refused, self._waiting_letters = [], [], []
        self._files, self._held_bytes = [], 0
        self._since = time.monotonic()

    def _remove(self, keys: list[str]) -> None:
        """Removes pending files, which are still those of this pull."""
        if keys:
            self._taken.claim()
        for key in keys:
            self._objects.delete(key)
            self._report()
        self._taken.removed()


def _count_unparsed(unparsed: pl.Series, counts: dict[str, int]) -> None:
    for text in unparsed.drop_nulls():
        for column in json.loads(text):
            counts[column] = counts.get(column, 0) + 1
