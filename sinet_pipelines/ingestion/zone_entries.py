"""Entries of a folder in a landing zone, and the names of its folders: days, values of Hive, kinds of events."""

import os
import stat
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from urllib.parse import unquote

EVENTS = "events"  # a folder next to the days' folders, with one folder for each kind of event
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_OTHER_DATES = ("%d-%m-%Y", "%d.%m.%Y", "%Y%m%d", "%Y_%m_%d", "%d_%m_%Y", "%Y.%m.%d")
_KINDS = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def day_of(name: str) -> date | None:
    """The day of a folder: `2026-03-01`, or a Hive folder with such a value; None for any other name.

    >>> day_of("2026-03-01"), day_of("event_date=2026-03-01"), day_of("01-03-2026"), day_of("20260301")
    (datetime.date(2026, 3, 1), datetime.date(2026, 3, 1), None, None)
    """
    text = next((value or "" for _, value in hive_value(name)), name)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def hive_value(name: str) -> tuple[tuple[str, str | None], ...]:
    """Column and value of a folder `column=value`; empty for any other name."""
    key, equals, value = name.partition("=")
    if not equals or not key:
        return ()
    return ((key, None if value == _HIVE_NULL else unquote(value)),)


def cure_of_a_day(name: str) -> str:
    """What to do with a folder that is not a day: contains the day if the name is one in another spelling."""
    for form in _OTHER_DATES:
        try:
            return f"rename the folder to {datetime.strptime(name, form).date()}"  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return "rename the folder to the day of its rows or remove it"


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """The visible entries of a folder in the order of names; empty where it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if entry.name[0] not in "._"), key=lambda entry: entry.name)
    except OSError:
        return []


def is_real_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder and not a link to one."""
    return entry.is_dir(follow_symlinks=False)


def why_no_file(path: Path) -> str:
    """The kind of an entry that is not a regular file; empty for a regular file or a removed entry."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    if stat.S_ISLNK(mode):
        return "it is a link"
    return next((f"it is {what}, no file" for is_kind, what in _KINDS.items() if is_kind(mode)), "")


def visible_files(folder: Path) -> Iterator[Path]:
    """All visible files below a folder, also those in folders that cannot be a day's."""
    for entry in entries_of(folder):
        if is_real_folder(entry):
            yield from visible_files(Path(entry.path))
        else:
            yield Path(entry.path)
