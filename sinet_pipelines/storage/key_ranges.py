"""Ranges of a key: rows of a large day are joined by their key a part at a time, each part the rows of one range.

Rows of equal keys are in one part. Tables and files that are sorted by the key are read only where they have the range.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import polars as pl

from sinet_pipelines.storage.spill import FrameFile

Key = tuple[Any, ...]


@dataclass(frozen=True)
class KeyRange:
    """The keys after one key, up to and including another one; a key with a null is before all others.

    Attributes:
        names: columns of the key.
        after: the last key before the range; None for no limit.
        until: the last key of the range; None for no limit.
    """

    names: tuple[str, ...]
    after: Key | None = None
    until: Key | None = None

    @property
    def condition(self) -> pl.Expr:
        """Whether a row is in the range. A scan skips the blocks of a file whose first column is outside of it.

        >>> rows = pl.DataFrame({"unit": ["a", "a", "b", "c"], "cycle": [1, 2, 1, 1]})
        >>> rows.filter(KeyRange(("unit", "cycle"), after=("a", 1), until=("b", 1)).condition).rows()
        [('a', 2), ('b', 1)]
        """
        found, first = pl.lit(value=True), pl.col(self.names[0])
        if self.after is not None:
            found = (first >= self.after[0]) & _is_after(self.names, self.after)
        if self.until is not None:
            is_before = first <= self.until[0] if self.after is not None else (first <= self.until[0]) | first.is_null()
            found &= is_before & ~_is_after(self.names, self.until)
        return found

    def overlaps(self, first: Key, last: Key) -> bool:
        """Whether a key from `first` to `last` may be in the range."""
        return (self.after is None or last > self.after) and (self.until is None or first <= self.until)


SAMPLES = 100  # keys of each range from which its ends are found


def ranges_of(tables: Iterable[pl.LazyFrame], names: Sequence[str], *, rows_at_once: int) -> list[KeyRange]:
    """Ranges that cover all keys, each with about `rows_at_once` rows of all tables together, or with one key.

    The tables need not fit in memory: some keys of each are read.

    Args:
        tables: rows with the key, in any order.
        names: columns of the key.
        rows_at_once: number of rows.
    """
    every = max(1, rows_at_once // SAMPLES)
    samples = [rows.select(names).gather_every(every).collect(engine="streaming").drop_nulls() for rows in tables]
    each = max(1, rows_at_once // every)
    keys = pl.concat(samples).sort(names).gather_every(each, offset=each - 1)
    bounds = keys.unique(maintain_order=True).rows()
    return [KeyRange(tuple(names), *ends) for ends in zip([None, *bounds], [*bounds, None], strict=True)]


@dataclass
class KeyedFile:
    """Frames in one unnamed file, from which the rows of one range of a key are read.

    Attributes:
        names: columns of the key.
        folder: folder of the file; None for the machine's temporary folder.
    """

    names: tuple[str, ...]
    folder: Path | None
    _frames: FrameFile = field(init=False)
    _spans: list[tuple[Key, Key] | None] = field(default_factory=list)  # None: a key of the frame has a null

    def __post_init__(self) -> None:
        self._frames = FrameFile(self.folder)

    def add(self, rows: pl.DataFrame) -> None:
        """Adds a frame; the better the frames are sorted by the key, the fewer are read for a range."""
        if rows.height:
            keys = rows.select(self.names).sort(self.names)
            is_full = keys.height == keys.drop_nulls().height
            self._spans.append((keys.row(0), keys.row(-1)) if is_full else None)
            self._frames.add(rows)

    def read(self, span: KeyRange) -> Iterator[pl.DataFrame]:
        """The rows in a range of the key, in frames."""
        for number, ends in enumerate(self._spans):
            if ends is None or span.overlaps(*ends):
                yield self._frames.read(number).filter(span.condition)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return iter(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()


def _is_after(names: Sequence[str], key: Key) -> pl.Expr:
    found = pl.lit(value=False)
    for name, value in reversed(list(zip(names, key, strict=True))):
        found = (pl.col(name) > value) | ((pl.col(name) == value) & found)
    return found.fill_null(value=False)
