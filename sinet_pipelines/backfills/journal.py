"""The journal of a backfill: a file of JSON lines in the home, one for each event, readable after a kill at any byte.

A line counts once its newline is written. A kill may leave half a line at the end: readers ignore it, and the next
entry is written in its place. What was made is not read from here but from Dagster's event log, so that no entry is
needed for a day to count as made.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.storage.files import write_whole

FOLDER = "backfills"  # in a home
_NAME = re.compile(r"(\d{4,})\.jsonl")
_REQUEST = ".request"  # beside a journal: what another process requests of the running backfill
PAUSE, CANCEL = "pause", "cancel"

Entry = Mapping[str, Any]


def journal_path(home: Path, number: int) -> Path:
    """The journal of a backfill."""
    return home / FOLDER / f"{number:04}.jsonl"


def numbers_of(home: Path) -> list[int]:
    """The numbers of all backfills with at least one entry, in order."""
    found = [int(match[1]) for path in (home / FOLDER).glob("*.jsonl") if (match := _NAME.fullmatch(path.name))]
    return [number for number in sorted(found) if read_entries(journal_path(home, number))]


def next_number(home: Path) -> int:
    """The number of a new backfill; a journal without a whole line is of none and is written over."""
    return max(numbers_of(home), default=0) + 1


def find_number(home: Path, named: int | None) -> int:
    """The backfill of this number, or the last one.

    Raises:
        UsageError: there is none.
    """
    known = numbers_of(home)
    if named is None and known:
        return known[-1]
    if named is not None and named in known:
        return named
    which = "no backfill was begun" if named is None else f"there is no backfill {named}"
    listed = f" (there are: {', '.join(map(str, known))})" if known else ""
    raise UsageError(f"{which} in {home}{listed}; `sinet backfill run SELECTION` begins one")


def read_entries(path: Path) -> list[Entry]:
    """The entries of a journal, the oldest first, without a half-written last line.

    Raises:
        StorageError: a whole line is no entry.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole, _, _ = content.rpartition(b"\n")
    return [_entry(path, number, line) for number, line in enumerate(whole.split(b"\n"), start=1) if whole]


def append_entry(path: Path, kind: str, **facts: Any) -> None:
    """Adds an entry and waits until it is on the disk; half a line that a kill left is removed first.

    Only the process that holds the home's lock may call it.

    Raises:
        StorageError: the disk is full or the place is not writable.
    """
    entry = {"kind": kind, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}
    line = json.dumps(entry, sort_keys=True).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(handle, "r+b") as file:
            content = file.read()
            kept = content.rfind(b"\n") + 1
            file.truncate(kept)
            file.seek(kept)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        cure = "free space or make it writable, then `sinet backfill resume` continues"
        raise StorageError(f"the journal {path} could not be written: {error.strerror}; {cure}") from error


def request(home: Path, number: int, what: str) -> None:
    """Requests a pause or a cancellation of a backfill that another process executes."""
    write_whole(journal_path(home, number).with_suffix(_REQUEST), what.encode())


def requested(home: Path, number: int) -> str:
    """What was requested: `pause`, `cancel`, or nothing."""
    try:
        return journal_path(home, number).with_suffix(_REQUEST).read_text().strip()
    except FileNotFoundError:
        return ""


def forget_request(home: Path, number: int) -> None:
    """Removes the request, once it was followed or a new start made it obsolete."""
    with suppress(FileNotFoundError):
        journal_path(home, number).with_suffix(_REQUEST).unlink()


def journals(home: Path) -> Iterator[tuple[int, list[Entry]]]:
    """Every backfill of a home with its entries, the oldest first."""
    for number in numbers_of(home):
        yield number, read_entries(journal_path(home, number))


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise StorageError(_damaged(path, number)) from error
    if not isinstance(entry, dict) or not {"kind", "at"} <= set(entry):
        raise StorageError(_damaged(path, number))
    return entry


def _damaged(path: Path, number: int) -> str:
    what = f"line {number} of the journal {path} is no entry"
    return f"{what}; move the file away and begin again: `sinet backfill run` makes only what is missing"
