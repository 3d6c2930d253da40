"""Sorts more rows than fit in memory: sorted runs on disk, read back in order, some blocks at a time.

An external merge sort. Rows are sorted in runs of `RUN_BYTES` and written as blocks of `BLOCK_BYTES`; the first key of
each block stays in memory. Blocks are read back in the order of their first keys, so memory has at once only one turn
of blocks and, of each run, at most one block that extends beyond the turn.

The files have no name, so the system frees them when the process ends.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import polars as pl
import pyarrow as pa

from sinet_pipelines.storage.files import disk_errors

RUN_BYTES = 48 << 20  # a run is sorted in memory with at most three copies
BLOCK_BYTES = 3 << 20
TURN_BYTES = 24 << 20

_RUN, _BLOCK, _AT = "_run", "_block", "_at"


@dataclass
class FrameFile:
    """Frames of equal columns in one unnamed file, in the order they were added.

    Attributes:
        folder: folder of the file; None for the machine's temporary folder.
    """

    folder: Path | None
    heights: list[int] = field(default_factory=list)
    _file: IO[bytes] | None = None
    _places: list[tuple[int, int]] = field(default_factory=list)

    def add(self, rows: pl.DataFrame) -> None:
        """Appends a frame; one without rows is ignored.

        Raises:
            DiskError: the disk is full or the folder is not writable.
        """
        if not rows.height:
            return
        if self._file is None:
            self._file = self._opened()
        with disk_errors(self._place):
            start = self._file.seek(0, 2)
            rows.write_ipc_stream(self._file, compression="lz4")
            size = self._file.tell() - start
        self._places.append((start, size))
        self.heights.append(rows.height)

    def read(self, number: int) -> pl.DataFrame:
        """The frame with this number, counted from 0 in the order of adding."""
        if self._file is None:
            raise IndexError(number)
        start, size = self._places[number]
        self._file.seek(start)
        return pl.read_ipc_stream(self._file.read(size))

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for number in range(len(self.heights)):
            yield self.read(number)

    def __len__(self) -> int:
        return len(self.heights)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> IO[bytes]:
        with disk_errors(self._place):
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self.folder)

    @property
    def _place(self) -> str:
        """For messages."""
        return f"{self.folder or tempfile.gettempdir()}, for rows that do not fit in memory,"


@dataclass
class Sorter:
    """Sorts rows that are added in any order.

    Attributes:
        keys: columns to sort by; rows with equal keys are returned in one frame.
        then: columns that order rows of equal keys.
        folder: folder of the runs.
        run_bytes: number of bytes that are sorted in memory at once.
    """

    keys: Sequence[str]
    then: Sequence[str] = ()
    folder: Path | None = None
    run_bytes: int = RUN_BYTES
    _pending: list[pl.DataFrame] = field(default_factory=list)
    _pending_bytes: int = 0
    _runs: list[FrameFile] = field(default_factory=list)
    _first: list[pl.DataFrame] = field(default_factory=list)

    @property
    def _order(self) -> list[str]:
        return [*self.keys, *self.then]

    @property
    def runs(self) -> int:
        """The number of runs on disk, the mark for `forget`."""
        return len(self._runs)

    def add(self, rows: pl.DataFrame) -> None:
        """Adds rows."""
        if rows.height:
            self._pending.append(rows)
            self._pending_bytes += int(rows.estimated_size())
        if self._pending_bytes >= self.run_bytes:
            self.flush()

    def flush(self) -> None:
        """Ends the present run, so that later rows are in other runs."""
        if not self._pending:
            return
        rows = pl.concat(self._pending).sort(self._order)
        block_rows = max(1, rows.height * self._share(BLOCK_BYTES) // max(1, self._pending_bytes))
        self._pending, self._pending_bytes = [], 0
        run = FrameFile(self.folder)
        for start in range(0, rows.height, block_rows):
            block = rows[start : start + block_rows]
            place = {_RUN: pl.lit(len(self._runs)), _BLOCK: pl.lit(len(run))}
            self._first.append(block.head(1).select(*self._order, **place))
            run.add(block)
        self._runs.append(run)

    def forget(self, mark: int) -> None:
        """Removes all rows that were added after run number `mark`; `flush` must have been called at that point."""
        self._pending, self._pending_bytes = [], 0
        for run in self._runs[mark:]:
            run.close()
        del self._runs[mark:]
        self._first = [one for one in self._first if one[_RUN][0] < mark]

    def sorted(self) -> Iterator[pl.DataFrame]:
        """The rows in order; all rows of equal keys are in the same frame. May be called again."""
        self.flush()
        if not self._first:
            return
        order = pl.concat(self._first).sort(self._order)
        a_turn = max(1, TURN_BYTES // BLOCK_BYTES)
        carry: list[pl.DataFrame] = []
        for start in range(0, order.height, a_turn):
            blocks = order[start : start + a_turn].select(_RUN, _BLOCK).iter_rows()
            rows = pl.concat([*carry, *(self._runs[run].read(block) for run, block in blocks)]).sort(self._order)
            upcoming = order[start + a_turn : start + a_turn + 1]
            cut = rows.height if not upcoming.height else self._place_of(upcoming, rows)
            carry = [rows[cut:]]
            if cut:
                yield rows[:cut]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the disk."""
        self.forget(0)

    def _share(self, size: int) -> int:
        return max(1, size * self.run_bytes // RUN_BYTES)

    def _place_of(self, key: pl.DataFrame, rows: pl.DataFrame) -> int:
        """The number of sorted rows before this key."""
        marked = pl.concat(
            [
                key.select(*self.keys, pl.lit(-1, pl.Int64).alias(_AT)),
                rows.select(*self.keys, pl.int_range(pl.len(), dtype=pl.Int64).alias(_AT)),
            ]
        ).sort(*self.keys, _AT)
        return int(marked[_AT].index_of(-1) or 0)


def as_reader(frames: Iterator[pl.DataFrame], schema: pa.Schema, *, rows: int) -> pa.RecordBatchReader:
    """Frames as a stream of Arrow batches of at most `rows` rows, cast to a schema.

    A separate thread makes the frames, one in advance: the writer reads on a thread that cannot open another table.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(1) as maker:
            upcoming = maker.submit(next, frames, None)
            while (frame := upcoming.result()) is not None:
                upcoming = maker.submit(next, frames, None)
                yield from frame.to_arrow().cast(schema).to_batches(max_chunksize=rows)

    return pa.RecordBatchReader.from_batches(schema, batches())


def in_order(
    batches: Callable[[Sequence[str] | None], Iterator[pl.DataFrame]], keys: Sequence[str], *, folder: Path | None
) -> Iterator[pl.DataFrame]:
    """Batches sorted by keys: unchanged if they are already in order, else sorted on disk.

    Args:
        batches: returns all batches, with all columns (None) or some.
        keys: columns to sort by.
        folder: folder of the runs.
    """
    if _are_sorted(batches(keys), keys):
        yield from batches(None)
        return
    with Sorter(keys, folder=folder) as sorter:
        for rows in batches(None):
            sorter.add(rows)
        yield from sorter.sorted()


def _are_sorted(batches: Iterator[pl.DataFrame], keys: Sequence[str]) -> bool:
    last: pl.DataFrame | None = None
    for rows in batches:
        joined = rows.select(keys) if last is None else pl.concat([last, rows.select(keys)])
        if not joined.equals(joined.sort(keys)):
            return False
        last = joined.tail(1)
    return True
