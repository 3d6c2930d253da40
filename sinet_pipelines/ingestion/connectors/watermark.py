"""How far a table was read by its watermark, and which rows of the overlap before it were read."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sinet_pipelines.errors import SourceError, first_line


@dataclass(frozen=True)
class Position:
    """The saved form of a window.

    Attributes:
        watermark: name of the column; empty if nothing was read.
        key: columns by which rows were recognised; empty for their content.
        last: as in `Window`.
        read_from: as in `Window`.
        seen: as in `Window`.
    """

    watermark: str
    key: tuple[str, ...]
    last: Decimal | None
    read_from: Decimal | None
    seen: Mapping[str, tuple[Decimal, str]]

    @classmethod
    def of(cls, saved: Mapping[str, Any], name: str) -> "Position":
        """The position in the state of a source; raises SourceError where it is none."""
        try:
            seen = {one: (Decimal(at), str(content)) for one, (at, content) in saved.get("seen", {}).items()}
            last, low = (None if saved.get(one) is None else Decimal(saved[one]) for one in ("last", "low"))
            key = tuple(str(one) for one in saved.get("key", ()))
            return cls(str(saved.get("watermark", "")), key, last, low, seen)
        except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise SourceError(
                f"the state of {name} is damaged ({first_line(error)}); give the source another name with --name"
            ) from error


@dataclass
class Window:
    """The rows that are read again, and those that were read.

    Attributes:
        last: the watermark up to which rows were read, None for none; microseconds since 1970 for an instant.
        read_from: `low` of the last pull, before which landed rows are not in `seen`; None for none.
        seen: for each row from `low` on, its watermark and the hash of its content, by its identity.
        overlap: distance of `low` before `last`.
        latest: no row moves `last` beyond it.
        is_instant: whether the watermark is an instant.
    """

    last: Decimal | None
    read_from: Decimal | None
    seen: dict[str, tuple[Decimal, str]]
    overlap: Decimal
    latest: Decimal
    is_instant: bool

    @property
    def low(self) -> Decimal | None:
        """The watermark from which rows are read, never before those in `seen`; None for all rows."""
        if self.last is None:
            return None
        low = self.last - self.overlap
        return low if self.read_from is None else max(low, self.read_from)

    def saved(self, watermark: str, key: tuple[str, ...]) -> dict[str, Any]:
        """The state after the rows that were read so far."""
        low = self.low
        if low is not None:
            self.seen = {name: found for name, found in self.seen.items() if found[0] >= low}
        seen = {name: [str(at), content] for name, (at, content) in self.seen.items()}
        last = None if self.last is None else str(self.last)
        from_ = None if low is None else str(low)
        return {"watermark": watermark, "key": list(key), "last": last, "low": from_, "seen": seen}
