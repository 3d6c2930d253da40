"""The record of the data that an application landed in a home: the first landing writes it, later landings follow it.

It is `landed/<application>.json` in the home. A copy at the top of the home replaces it when it is deleted or damaged.
A readable record is always used, also if it was edited by hand. An application adds fields of its own.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from sinet_pipelines.errors import FleetError
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import landing_folders, record_copy, record_file, recorded_applications

_log = logging.getLogger(__name__)
T = TypeVar("T")
Parse = Callable[[Mapping[str, Any]], T]  # raises KeyError, TypeError or ValueError where the fields are invalid


@dataclass(frozen=True)
class Record:
    """The fields of a record that the platform needs.

    Attributes:
        name: name of the landed folder, or `simulated`.
        simulated: whether all rows are simulated.
        first_day: the first landed day, UTC, and the first partition.
    """

    name: str
    simulated: bool
    first_day: date

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Record":
        """The record of these fields."""
        return cls(str(fields["name"]), bool(fields["simulated"]), date.fromisoformat(fields["first_day"]))


def has_record(home: Path) -> bool:
    """Whether an application landed data in the home, also if its record is damaged."""
    return bool(recorded_applications(home))


def read_record(home: Path, application: str, parse: "Parse[T]") -> T | None:
    """The record of an application, None where it landed nothing yet; a lost record is restored from its copy.

    Args:
        home: the home.
        application: its name.
        parse: makes the record from its fields: `Record.of`, or the application's own function.

    Raises:
        FleetError: the record is damaged, and there is no copy that can be read.
    """
    path, copy = record_file(home, application), record_copy(home, application)
    if not path.exists() and not copy.exists():
        return None
    try:
        return _read(path, parse)
    except _DamagedError as error:
        try:
            known = _read(copy, parse)
        except _DamagedError:
            first = _first_landed(home, application)
            raise FleetError(
                f"{error}, and {copy} is none either; put its old text back, or remove {path} and land the same data "
                f"again: `sinet run{first}` with the same --home, and the same --data if there was one"
            ) from error
        write_whole(path, copy.read_bytes())
        _log.warning("%s; it was put back from %s", error, copy)
        return known


def read_records(home: Path) -> dict[str, Record]:
    """The records of a home by application.

    Raises:
        FleetError: as in `read_record`.
    """
    found = {name: read_record(home, name, Record.of) for name in recorded_applications(home)}
    return {name: record for name, record in found.items() if record is not None}


def read_first_days(home: Path) -> dict[str, date]:
    """The first landed day of each application of a home; other fields of the records may be invalid.

    Raises:
        FleetError: as in `read_record`.
    """
    found = {name: _first_day(home, name) for name in recorded_applications(home)}
    return {name: day for name, day in found.items() if day is not None}


def _first_day(home: Path, application: str) -> date | None:
    try:
        return date.fromisoformat(json.loads(record_file(home, application).read_text())["first_day"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        known = read_record(home, application, Record.of)
        return None if known is None else known.first_day


def keep_copy(home: Path, application: str, parse: "Parse[T]") -> None:
    """Makes the copy of the record equal to the record; does nothing if the record is missing or damaged.

    Raises:
        StorageError: the disk is full or not writable.
    """
    path, copy = record_file(home, application), record_copy(home, application)
    try:
        known = _read(path, parse)
    except _DamagedError:
        return
    try:
        is_kept = _read(copy, parse) == known
    except _DamagedError:
        is_kept = False
    if not is_kept:
        write_whole(copy, path.read_bytes())


def write_record(home: Path, application: str, fields: Mapping[str, Any], parse: "Parse[T]") -> None:
    """Writes the record and its copy, each atomically.

    Args:
        home: the home.
        application: its name.
        fields: the fields of `Record`, and the application's own; dates are allowed values.
        parse: as in `read_record`.

    Raises:
        StorageError: the disk is full or not writable.
    """
    write_whole(record_file(home, application), json.dumps(fields, default=date.isoformat, indent=1).encode())
    keep_copy(home, application, parse)


class _DamagedError(FleetError):
    pass


def _read(path: Path, parse: "Parse[T]") -> T:
    try:
        return parse(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise _DamagedError(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(f"{path} is no record of what landed ({type(error).__name__}: {error})") from error


def _first_landed(home: Path, application: str) -> str:
    """The command-line option with the first day of the application's drops; empty where there are none."""
    folders = [folder for root in landing_folders(home) for folder in (root / application).glob("????-??-??")]
    return f" --first-day {min(folder.name for folder in folders)}" if folders else ""
