"""The first day of an application in a home where nothing landed before `sinet pull`.

The record is written with the first rows, before all rows are known. It has the pulls that began with it
(`open_pulls`) until each of them is complete, also if it was killed and repeated. As long as there is one, an earlier
row sets the day back.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sinet_pipelines.ingestion.record import read_first_days, read_record, write_record
from sinet_pipelines.storage.layout import recorded_applications
from sinet_pipelines.storage.locks import held

OLDEST = timedelta(days=3_660)  # of a first day, since one wrong instant of 1970 would be 20,000 days
_OPEN = "open_pulls"


@dataclass(frozen=True)
class _Opened:
    """A record with its open pulls; the other fields stay as they are."""

    first_day: date
    pulls: frozenset[str]
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "_Opened":
        pulls = frozenset(str(one) for one in fields.get(_OPEN, ()))
        return cls(date.fromisoformat(fields["first_day"]), pulls, dict(fields))


class FirstDay:
    """The first day of an application in a home, for one pull.

    Args:
        home: the home.
        application: name of the application.
        pull: identifies the source and the region; a repeated pull has the same.
        wanted: first day of a new home; None for the earliest day of the rows.
    """

    def __init__(self, home: Path, application: str, *, pull: str, wanted: date | None) -> None:
        self._home, self._application, self._pull, self._wanted = home, application, pull, wanted

    def including(self, days: Iterable[date]) -> date | None:
        """The first day of the home, set back to the earliest of these days while a first pull is open.

        Raises:
            FleetError: the record is damaged.
            StorageError: the disk is full or not writable.
        """
        if not self._is_open():
            return read_first_days(self._home).get(self._application)
        with self._locked():
            known = self._read()
            if known is not None and (not known.pulls or self._wanted is not None):
                return known.first_day
            today = datetime.now(UTC).date()
            earliest = min((day for day in days if today - OLDEST <= day <= today), default=today)
            if known is None:
                fields = {"name": "pull", "simulated": False}
                return self._write(fields, self._wanted or earliest, set() if self._wanted else {self._pull})
            if earliest >= known.first_day and self._pull in known.pulls:
                return known.first_day
            return self._write(known.fields, min(earliest, known.first_day), {*known.pulls, self._pull})

    def close(self) -> None:
        """Ends the part of this pull: all of its rows are known.

        Raises:
            FleetError, StorageError: as in `including`.
        """
        if self._application not in recorded_applications(self._home) or not self._is_open():
            return
        with self._locked():
            known = self._read()
            if known is not None and self._pull in known.pulls:
                self._write(known.fields, known.first_day, known.pulls - {self._pull})

    def _is_open(self) -> bool:
        """Whether the day may still be set: there is no record, or pulls that began with it are not complete."""
        if self._application not in recorded_applications(self._home):
            return True
        known = self._read()
        return known is None or bool(known.pulls)

    def _read(self) -> _Opened | None:
        return read_record(self._home, self._application, _Opened.of)

    def _write(self, fields: Mapping[str, Any], first_day: date, pulls: Set[str]) -> date:
        others = {name: value for name, value in fields.items() if name != _OPEN}
        opened = {_OPEN: sorted(pulls)} if pulls else {}
        write_record(self._home, self._application, {**others, "first_day": first_day, **opened}, _Opened.of)
        return first_day

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with held(self._home / f"pull-first-day-{self._application}.lock"):
            yield
