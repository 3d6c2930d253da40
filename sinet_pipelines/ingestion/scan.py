"""Lists what lies in a landing zone: the files to read, and every file that is not read, with the reason and the cure.

A day's drops are all regular files beneath its folder: a folder `x.parquet` as Spark or Dask writes it is read file by
file, and the values of Hive folders (`role=live/`) fill columns that the files lack. Names that begin with `.` or `_`
are being written or are markers of other writers, and are ignored everywhere. Nothing here opens a file: a pipe cannot
block, and a link is followed only where it stays in its region's own folder.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from sinet_pipelines.escaping import visible
from sinet_pipelines.regions import REGIONS

EVENTS = "events"  # the folder beside the days' folders; one folder a kind of event below it
FLEET_FILE = "fleet.json"
MAX_DEPTH = 16  # folders below a day's; deeper is a mistake of a copying program
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_OTHER_DATES = ("%d-%m-%Y", "%d.%m.%Y", "%Y%m%d", "%Y_%m_%d", "%d_%m_%Y", "%Y.%m.%d")
_KINDS = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


@dataclass(frozen=True)
class UnusedFile:
    """A file in a landing zone that no table takes its rows from.

    Attributes:
        path: relative to the landing zone, characters that cannot be printed escaped; a folder ends with `/`.
        reason: what was found, and what is allowed.
        cure: what to do.
        region: the first folder of its path, empty for a file beside the regions' folders.
    """

    path: str
    reason: str
    cure: str
    region: str = ""

    @property
    def message(self) -> str:
        """All of it in one sentence."""
        return f"{self.path} is not used: {self.reason}; {self.cure}"


@dataclass(frozen=True)
class Part:
    """A file to be read.

    Attributes:
        path: where it stands.
        real: where its bytes are; another path only for a link within the region's folder.
        name: its path below the folder of its day or kind of events.
        hive: column and value of each folder above it that is called `column=value`; None is Hive's null.
    """

    path: Path
    real: Path
    name: str
    hive: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class RegionFolder:
    """One region's folder in a landing zone, known to the registry or not.

    Attributes:
        root: the landing zone.
        name: of the folder.
    """

    root: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.root / self.name

    def files_by_day(self) -> list[tuple[date, Iterator[Part | UnusedFile]]]:
        """The days that have a folder, in order, each with all files beneath it; the days' folders are listed once."""
        folders: dict[date, list[Path]] = {}
        for folder, day in self._day_folders():
            folders.setdefault(day, []).append(folder)
        return [(day, chain.from_iterable(map(self._files, found))) for day, found in sorted(folders.items())]

    def days(self) -> list[date]:
        """The days with at least one file to read, in order."""
        return [day for day, files in self.files_by_day() if any(isinstance(one, Part) for one in files)]

    def parts(self, day: date) -> Iterator[Part]:
        """The day's files to read."""
        return (found for found in self.day_files(day) if isinstance(found, Part))

    def day_files(self, day: date) -> Iterator[Part | UnusedFile]:
        """All files beneath the day's folder, or folders: `2026-03-01`, `event_date=2026-03-01`."""
        for folder, found in self._day_folders(day.isoformat()):
            if found == day:
                yield from self._files(folder)

    def event_files(self, kind: str) -> Iterator[Part | UnusedFile]:
        """All files of a kind of events."""
        folder = self.path / EVENTS / kind
        if all(one.is_dir() and not one.is_symlink() for one in (folder.parent, folder)) and not self._strange():
            yield from self._files(folder)

    def misplaced(self, kinds: tuple[str, ...]) -> Iterator[UnusedFile]:
        """The files that belong to no day and to no kind of events.

        Args:
            kinds: names of the folders below `events/`.
        """
        if why := self._strange():
            yield self._unused(self.path, why, "put the region's own files here", is_folder=self.path.is_dir())
            return
        for entry in _entries(self.path):
            path = Path(entry.path)
            if entry.name == EVENTS and _is_folder(entry):
                yield from self._misplaced_events(path, kinds)
            elif not _is_folder(entry):
                reason = _no_file(path) or "it stands beside the folders of the days"
                yield self._unused(path, reason, f"move it into {self.name}/<YYYY-MM-DD>/ or remove it")
            elif day_of(entry.name) is None:
                reason = f"its folder {visible(entry.name)} is no day (allowed: YYYY-MM-DD, or {EVENTS})"
                yield from self._all_below(path, reason, _cure_of_a_day(entry.name))
        yield from self._unlisted(self.path)

    def all_files(self, reason: str, cure: str) -> Iterator[UnusedFile]:
        """Every file of the folder, with one reason for all."""
        return self._all_below(self.path, reason, cure)

    def unused(self, part: Part, reason: str, cure: str) -> UnusedFile:
        """A file that was to be read and cannot be used."""
        return self._unused(part.path, reason, cure)

    def _misplaced_events(self, folder: Path, kinds: tuple[str, ...]) -> Iterator[UnusedFile]:
        allowed = " and ".join(kinds)
        for entry in _entries(folder):
            path = Path(entry.path)
            if not _is_folder(entry):
                reason = _no_file(path) or "it is of no kind of events"
                yield self._unused(path, reason, f"move it into {self.name}/{EVENTS}/<kind>/ (kinds: {allowed})")
            elif entry.name not in kinds:
                reason = f"there is no kind of events {visible(entry.name)} (allowed: {allowed})"
                yield from self._all_below(path, reason, "move it into the folder of its kind or remove it")
        yield from self._unlisted(folder)

    def _day_folders(self, with_text: str = "") -> Iterator[tuple[Path, date]]:
        """The folders of days; of those alone whose names hold a text, which costs less than reading each as a day."""
        if self._strange():
            return
        for entry in _entries(self.path):
            day = day_of(entry.name) if with_text in unquote(entry.name) else None
            if day is not None and _is_folder(entry):
                yield Path(entry.path), day

    def _strange(self) -> str:
        """Why the folder as a whole is not read: a link to, into or around another region's folder; else nothing."""
        if not self.path.is_symlink():
            return "it is a file, no folder" if self.path.is_file() else ""
        try:
            real = self.path.resolve(strict=True)
        except (OSError, RuntimeError):
            return "it is a link that leads nowhere"
        for region in REGIONS:
            other = (self.root / region.name).resolve()
            if region.name != self.name and (real.is_relative_to(other) or other.is_relative_to(real)):
                return f"it is a link to the folder of {region.name}, and raw rows never leave their region"
        return ""

    def _files(self, folder: Path) -> Iterator[Part | UnusedFile]:
        return self._below(folder, top=folder, hive=(), depth=0)

    def _below(
        self, folder: Path, *, top: Path, hive: tuple[tuple[str, str | None], ...], depth: int
    ) -> Iterator[Part | UnusedFile]:
        if depth > MAX_DEPTH:
            yield self._unused(folder, f"it is more than {MAX_DEPTH} folders deep", "move it up", is_folder=True)
            return
        for entry in _entries(folder):
            path = Path(entry.path)
            name = path.relative_to(top).as_posix()
            if _is_folder(entry):
                yield from self._below(path, top=top, hive=(*hive, *_hive_value(entry.name)), depth=depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield Part(path, path, name, hive)
            elif why := self._leads_out(path):
                yield self._unused(path, why, "put the file itself here or remove it")
            else:
                yield Part(path, path.resolve(), name, hive)
        yield from self._unlisted(folder)

    def _leads_out(self, path: Path) -> str:
        """Why what is no regular file is not read; nothing for a link to a file of this region's folder."""
        if not path.is_symlink():
            return _no_file(path)
        try:
            real = path.resolve(strict=True)
            is_file = stat.S_ISREG(real.stat().st_mode)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return "it is a link that leads nowhere"
        if not real.is_relative_to(self.path.resolve()):
            return f"it is a link out of the folder of {visible(self.name)}, and such links are not followed"
        return "" if is_file else "it is a link to what is no file"

    def _all_below(self, folder: Path, reason: str, cure: str) -> Iterator[UnusedFile]:
        """Every visible file beneath a folder that is not read."""
        left = [folder]
        while left:
            here = left.pop()
            for entry in _entries(here):
                if _is_folder(entry):
                    left.append(Path(entry.path))
                else:
                    yield self._unused(Path(entry.path), reason, cure)
            yield from self._unlisted(here)

    def _unlisted(self, folder: Path) -> Iterator[UnusedFile]:
        """The folder itself where its files cannot be listed, so that it looks empty."""
        try:
            os.scandir(folder).close()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield self._unused(
                folder, f"its files cannot be listed ({error.strerror})", "make it readable", is_folder=True
            )

    def _unused(self, path: Path, reason: str, cure: str, *, is_folder: bool = False) -> UnusedFile:
        shown = visible(path.relative_to(self.root).as_posix()) + ("/" if is_folder else "")
        return UnusedFile(shown, reason, cure, visible(self.name))


def misplaced_at_root(root: Path) -> Iterator[UnusedFile]:
    """The files of a landing zone that stand in no region's folder: beside these, or in a folder of another name."""
    known = {region.name: region.name for region in REGIONS}
    lowered = {name.casefold(): name for name in known}
    for entry in _entries(root):
        path = Path(entry.path)
        if entry.name in known or entry.name == FLEET_FILE:
            continue
        if not _is_folder(entry):
            reason = _no_file(path) or "it stands beside the folders of the regions"
            yield UnusedFile(visible(entry.name), reason, "move it into <REGION>/<YYYY-MM-DD>/ or remove it")
            continue
        reason = f"no region {visible(entry.name)} is in the registry (known: {', '.join(known)})"
        meant = lowered.get(entry.name.casefold())
        cure = f"rename the folder to {meant}" if meant else "add the region to registry.yaml or remove the folder"
        yield from RegionFolder(root, entry.name).all_files(reason, cure)


def unknown_folders(root: Path) -> list[str]:
    """Names of the folders in a landing zone that are no region's, in order."""
    known = {region.name for region in REGIONS}
    return [entry.name for entry in _entries(root) if entry.name not in known and _is_folder(entry)]


def day_of(name: str) -> date | None:
    """The day that a folder is of: `2026-03-01`, or a Hive folder with such a value; None for any other name.

    >>> day_of("2026-03-01"), day_of("event_date=2026-03-01"), day_of("01-03-2026"), day_of("20260301")
    (datetime.date(2026, 3, 1), datetime.date(2026, 3, 1), None, None)
    """
    text = next((value or "" for _, value in _hive_value(name)), name)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def _hive_value(name: str) -> tuple[tuple[str, str | None], ...]:
    key, equals, value = name.partition("=")
    if not equals or not key:
        return ()
    return ((key, None if value == _HIVE_NULL else unquote(value)),)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder in the order of names, without what other writers hide; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if entry.name[0] not in "._"), key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder and no link to one."""
    return entry.is_dir(follow_symlinks=False)


def _no_file(path: Path) -> str:
    """What it is if it is no regular file; nothing for one, and for what is gone."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    if stat.S_ISLNK(mode):
        return "it is a link"
    return next((f"it is {what}, no file" for is_kind, what in _KINDS.items() if is_kind(mode)), "")


def _cure_of_a_day(name: str) -> str:
    for form in _OTHER_DATES:
        try:
            return f"rename the folder to {datetime.strptime(name, form).date()}"  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return "rename the folder to the day of its rows or remove it"
