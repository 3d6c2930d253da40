"""Lists the files in the landing zones of a home: those to read, and each other file with the reason and the cure.

A day's drops are all regular files below its folder: a folder `x.parquet` of Spark or Dask is read file by file, and
the values of Hive folders (`role=live/`) fill columns that the files lack. Names that begin with `.` or `_` are
incomplete files or markers of other writers, and are ignored everywhere. No file is opened here, so a pipe cannot
block; a link is followed only within its own landing zone. `scan_store.py` does the same for a store.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path, PurePath
from typing import Protocol
from urllib.parse import unquote

from sinet_pipelines.escaping import visible
from sinet_pipelines.ingestion.zone_entries import (
    EVENTS,
    cure_of_a_day,
    day_of,
    entries_of,
    hive_value,
    is_real_folder,
    why_no_file,
)
from sinet_pipelines.storage.layout import LANDING
from sinet_pipelines.storage.roots import region_folder

MAX_DEPTH = 16  # folders below a day's; a deeper tree is a mistake of a copying program


@dataclass(frozen=True)
class UnusedFile:
    """A file in a landing zone whose rows are in no table.

    Attributes:
        path: path relative to the home, with unprintable characters escaped; a folder ends with `/`.
        reason: what was found, and what is allowed.
        cure: what to do.
        region: region of its folder; empty for a file in no region's folder.
        application: application of its landing zone; empty for a file in no landing zone.
    """

    path: str
    reason: str
    cure: str
    region: str = ""
    application: str = ""

    @property
    def message(self) -> str:
        """Path, reason and cure in one sentence."""
        return f"{self.path} is not used: {self.reason}; {self.cure}"


@dataclass(frozen=True)
class Part:
    """A file to be read.

    Attributes:
        path: its path.
        real: path of its bytes; another path only for a link within the region's folder.
        name: its path below the folder of its day or kind of events.
        hive: column and value of each folder `column=value` above it; None is Hive's null.
    """

    path: Path
    real: Path
    name: str
    hive: tuple[tuple[str, str | None], ...] = ()


class Placed(Protocol):
    """A file of a landing zone, in a folder or in a store."""

    @property
    def path(self) -> PurePath:
        """Its path, or its key."""


@dataclass(frozen=True)
class RegionFolder:
    """The landing zone of one application in one region, in the inventory or not.

    Attributes:
        home: the home.
        name: name of the region's folder.
        application: its name.
        regions: names of the regions of the deployment.
    """

    home: Path
    name: str
    application: str
    regions: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The root of the region."""
        return region_folder(self.home, self.name)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.root / LANDING / self.application

    @property
    def place(self) -> str:
        """Its place on this machine."""
        return str(self.path)

    def listed(self) -> "RegionFolder":
        """The zone itself: its folders are listed where they are needed."""
        return self

    @property
    def shown(self) -> str:
        """The folder in the form for messages: the region, and the path in its root."""
        return self._spelled(self.path)

    def files_by_day(self) -> list[tuple[date, Iterator[Part | UnusedFile]]]:
        """The days that have a folder, in order, each with all files below it; the days' folders are listed once."""
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
        """All files below the day's folder, or folders: `2026-03-01`, `event_date=2026-03-01`."""
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
        for entry in entries_of(self.path):
            path = Path(entry.path)
            if entry.name == EVENTS and is_real_folder(entry):
                yield from self._misplaced_events(path, kinds)
            elif not is_real_folder(entry):
                reason = why_no_file(path) or "it stands beside the folders of the days"
                yield self._unused(path, reason, f"move it into {self.shown}/<YYYY-MM-DD>/ or remove it")
            elif day_of(entry.name) is None:
                reason = f"its folder {visible(entry.name)} is no day (allowed: YYYY-MM-DD, or {EVENTS})"
                yield from self._all_below(path, reason, cure_of_a_day(entry.name))
        yield from self._unlisted(self.path)

    def all_files(self, reason: str, cure: str) -> Iterator[UnusedFile]:
        """Every file of the folder, with one reason for all."""
        return self._all_below(self.path, reason, cure)

    def unused(self, part: Placed, reason: str, cure: str) -> UnusedFile:
        """The record of a file to read that cannot be used."""
        return self._unused(part.path, reason, cure)

    def spelled(self, part: Placed) -> str:
        """The file in the form for messages: the region, and the path in its root."""
        return self._spelled(part.path)

    def _misplaced_events(self, folder: Path, kinds: tuple[str, ...]) -> Iterator[UnusedFile]:
        allowed = " and ".join(kinds)
        for entry in entries_of(folder):
            path = Path(entry.path)
            if not is_real_folder(entry):
                reason = why_no_file(path) or "it is of no kind of events"
                yield self._unused(path, reason, f"move it into {self.shown}/{EVENTS}/<kind>/ (kinds: {allowed})")
            elif entry.name not in kinds:
                reason = f"there is no kind of events {visible(entry.name)} (allowed: {allowed})"
                yield from self._all_below(path, reason, "move it into the folder of its kind or remove it")
        yield from self._unlisted(folder)

    def _day_folders(self, with_text: str = "") -> Iterator[tuple[Path, date]]:
        """The folders of days whose names contain a text, which is faster than parsing each name as a day."""
        if self._strange():
            return
        for entry in entries_of(self.path):
            day = day_of(entry.name) if with_text in unquote(entry.name) else None
            if day is not None and is_real_folder(entry):
                yield Path(entry.path), day

    def _strange(self) -> str:
        """Why the whole folder is not read: a link to, into or around another region's folder; else empty."""
        if self.path.is_file() and not self.path.is_symlink():
            return "it is a file, no folder"
        landing = self.path.parent
        for link in (one for one in (landing.parent, landing, self.path) if one.is_symlink()):
            try:
                real = link.resolve(strict=True)
            except (OSError, RuntimeError):
                return "it is a link that leads nowhere"
            for region in self.regions:
                if region != self.name and _overlap(real, region_folder(self.home, region).resolve()):
                    return f"it is a link to the folder of {region}, and raw rows never leave their region"
            for entry in entries_of(landing) if link == self.path else ():
                if entry.name != self.application and _overlap(real, Path(entry.path).resolve()):
                    return f"it is a link to the folder of {visible(entry.name)}, and no two applications share drops"
        return ""

    def _files(self, folder: Path) -> Iterator[Part | UnusedFile]:
        return self._below(folder, top=folder, hive=(), depth=0)

    def _below(
        self, folder: Path, *, top: Path, hive: tuple[tuple[str, str | None], ...], depth: int
    ) -> Iterator[Part | UnusedFile]:
        if depth > MAX_DEPTH:
            yield self._unused(folder, f"it is more than {MAX_DEPTH} folders deep", "move it up", is_folder=True)
            return
        for entry in entries_of(folder):
            path = Path(entry.path)
            name = path.relative_to(top).as_posix()
            if is_real_folder(entry):
                yield from self._below(path, top=top, hive=(*hive, *hive_value(entry.name)), depth=depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield Part(path, path, name, hive)
            elif why := self._leads_out(path):
                yield self._unused(path, why, "put the file itself here or remove it")
            else:
                yield Part(path, path.resolve(), name, hive)
        yield from self._unlisted(folder)

    def _leads_out(self, path: Path) -> str:
        """Why an entry that is not a regular file is not read; empty for a link to a file of this region's folder."""
        if not path.is_symlink():
            return why_no_file(path)
        try:
            real = path.resolve(strict=True)
            is_file = stat.S_ISREG(real.stat().st_mode)
        except (OSError, RuntimeError):  # RuntimeError: circular links
            return "it is a link that leads nowhere"
        if not real.is_relative_to(self.path.resolve()):
            return f"it is a link out of {self.shown}, and such links are not followed"
        return "" if is_file else "it is a link to what is no file"

    def _all_below(self, folder: Path, reason: str, cure: str) -> Iterator[UnusedFile]:
        """Every visible file below a folder that is not read."""
        left = [folder]
        while left:
            here = left.pop()
            for entry in entries_of(here):
                if is_real_folder(entry):
                    left.append(Path(entry.path))
                else:
                    yield self._unused(Path(entry.path), reason, cure)
            yield from self._unlisted(here)

    def _unlisted(self, folder: Path) -> Iterator[UnusedFile]:
        """The folder itself if its files cannot be listed, since it would otherwise count as empty."""
        try:
            os.scandir(folder).close()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield self._unused(
                folder, f"its files cannot be listed ({error.strerror})", "make it readable", is_folder=True
            )

    def _spelled(self, path: PurePath) -> str:
        return visible((self.name / path.relative_to(self.root)).as_posix())

    def _unused(self, path: PurePath, reason: str, cure: str, *, is_folder: bool = False) -> UnusedFile:
        shown = self._spelled(path) + ("/" if is_folder else "")
        return UnusedFile(shown, reason, cure, visible(self.name), self.application)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
