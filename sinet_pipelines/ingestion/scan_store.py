"""Lists a landing zone that is a prefix of an object store, like `scan.py` lists one that is a folder.

A store has no folders, links or pipes, only keys: the parts before the last `/` of a key count as its folders.
Names that begin with `.` or `_` are ignored, and so are markers of folders (`day/`, `day_$folder$`).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import PurePosixPath

from sinet_pipelines.errors import StorageError
from sinet_pipelines.escaping import visible
from sinet_pipelines.ingestion.misplaced import strange_application
from sinet_pipelines.ingestion.scan import MAX_DEPTH, Placed, UnusedFile
from sinet_pipelines.ingestion.zone_entries import EVENTS, cure_of_a_day, day_of, hive_value
from sinet_pipelines.storage.layout import LANDING, PARTS
from sinet_pipelines.storage.objects import Object, Objects, require_key

_MARKER = "_$folder$"  # marker of Hadoop's older clients for an empty folder


@dataclass(frozen=True)
class StoredPart:
    """An object to be read.

    Attributes:
        objects: the root with the object.
        one: its key, size and state at the time of listing.
        name: its key below the folder of its day or kind of events.
        hive: as in `Part`.
    """

    objects: Objects
    one: Object
    name: str
    hive: tuple[tuple[str, str | None], ...] = ()

    @property
    def path(self) -> PurePosixPath:
        """Its key."""
        return PurePosixPath(self.one.key)


@dataclass(frozen=True)
class RegionPrefix:
    """The landing zone of one application in one region whose root is an object store; methods as in `RegionFolder`.

    Attributes:
        objects: objects of the region.
        name: name of the region.
        application: its name.
        all_objects: the objects of the zone, if they are listed already.
    """

    objects: Objects
    name: str
    application: str
    all_objects: tuple[Object, ...] | None = field(default=None, repr=False)

    @property
    def prefix(self) -> str:
        """The prefix of the zone below the root."""
        return f"{LANDING}/{self.application}"

    @property
    def place(self) -> str:
        """Its root and prefix."""
        return f"{self.objects.root}/{self.prefix}"

    def listed(self) -> "RegionPrefix":
        """The zone with its objects of this moment: it is listed once, whatever is read of it."""
        return replace(self, all_objects=tuple(self.objects.walk(self.prefix)))

    @property
    def shown(self) -> str:
        """The zone in the form for messages, as if the region's root were a folder of the home."""
        return visible(f"{self.name}/{self.prefix}")

    def files_by_day(self) -> list[tuple[date, Iterator[StoredPart | UnusedFile]]]:
        """The days that have a file, in order, each with all files below it; the zone is listed once."""
        found: dict[date, list[StoredPart | UnusedFile]] = {}
        for one, names in self._listed(self.prefix):
            if len(names) > 1 and (day := day_of(names[0])) is not None:
                found.setdefault(day, []).append(self._part(one, names[1:]))
        return [(day, iter(files)) for day, files in sorted(found.items())]

    def days(self) -> list[date]:
        """The days with at least one file to read, in order."""
        return [day for day, files in self.files_by_day() if any(isinstance(one, StoredPart) for one in files)]

    def parts(self, day: date) -> Iterator[StoredPart]:
        """The day's files to read."""
        return (found for found in self.day_files(day) if isinstance(found, StoredPart))

    def day_files(self, day: date) -> Iterator[StoredPart | UnusedFile]:
        """All files below the day's folder, or folders: `2026-03-01`, `event_date=2026-03-01`."""
        for folder in self.objects.children(self.prefix).folders:
            if day_of(folder) == day:
                for one, names in self._listed(f"{self.prefix}/{folder}"):
                    yield self._part(one, names)

    def event_files(self, kind: str) -> Iterator[StoredPart | UnusedFile]:
        """All files of a kind of events."""
        for one, names in self._listed(f"{self.prefix}/{EVENTS}/{kind}"):
            yield self._part(one, names)

    def misplaced(self, kinds: tuple[str, ...]) -> Iterator[UnusedFile]:
        """The files that belong to no day and to no kind of events.

        Args:
            kinds: names of the folders below `events/`.
        """
        allowed = " and ".join(kinds)
        for one, names in self._listed(self.prefix):
            if names[0] == EVENTS and len(names) == 2:
                cure = f"move it into {self.shown}/{EVENTS}/<kind>/ (kinds: {allowed})"
                yield self._unused(one.key, "it is of no kind of events", cure)
            elif names[0] == EVENTS and len(names) > 2:
                if names[1] not in kinds:
                    reason = f"there is no kind of events {visible(names[1])} (allowed: {allowed})"
                    yield self._unused(one.key, reason, "move it into the folder of its kind or remove it")
            elif len(names) == 1:
                cure = f"move it into {self.shown}/<YYYY-MM-DD>/ or remove it"
                yield self._unused(one.key, "it stands beside the folders of the days", cure)
            elif day_of(names[0]) is None:
                reason = f"its folder {visible(names[0])} is no day (allowed: YYYY-MM-DD, or {EVENTS})"
                yield self._unused(one.key, reason, cure_of_a_day(names[0]))

    def all_files(self, reason: str, cure: str) -> Iterator[UnusedFile]:
        """Every file of the zone, with one reason for all."""
        return (self._unused(one.key, reason, cure) for one, _ in self._listed(self.prefix))

    def unused(self, part: Placed, reason: str, cure: str) -> UnusedFile:
        """The record of a file to read that cannot be used."""
        return self._unused(str(part.path), reason, cure)

    def spelled(self, part: Placed) -> str:
        """The file in the form for messages, as if the region's root were a folder of the home."""
        return visible(f"{self.name}/{part.path}")

    def _listed(self, prefix: str) -> Iterator[tuple[Object, list[str]]]:
        """The visible objects below a prefix, each with the names of its folders below it and its own."""
        known = self.all_objects
        found = self.objects.walk(prefix) if known is None else (o for o in known if o.key.startswith(f"{prefix}/"))
        for one in found:
            names = one.key.removeprefix(f"{prefix}/").split("/")
            if not _is_hidden(names):
                yield one, names

    def _part(self, one: Object, names: list[str]) -> StoredPart | UnusedFile:
        """The object as a file to read, or why it is not one."""
        if len(names) > MAX_DEPTH + 1:
            return self._unused(one.key, f"it is more than {MAX_DEPTH} folders deep", "move it up")
        try:
            require_key(one.key)
        except StorageError:
            reason = "its key has an empty name, `.`, `..` or a control character, and no such key is read"
            return self._unused(one.key, reason, "rename it or remove it")
        hive = tuple(value for name in names[:-1] for value in hive_value(name))
        return StoredPart(self.objects, one, "/".join(names), hive)

    def _unused(self, key: str, reason: str, cure: str) -> UnusedFile:
        return UnusedFile(visible(f"{self.name}/{key}"), reason, cure, visible(self.name), self.application)


def misplaced_in_store(objects: Objects, region: str, applications: Collection[str]) -> Iterator[UnusedFile]:
    """The files of a region's store in no application's landing zone and in no other part of the region.

    Args:
        objects: objects of the region.
        region: its name.
        applications: names of the applications of the deployment.
    """
    cure = f"move it into {region}/{LANDING}/<application>/<YYYY-MM-DD>/ or remove it"
    root, landing = objects.children(), objects.children(LANDING)
    for folder in root.folders:
        if folder not in PARTS:
            yield from _misplaced(region, objects.walk(folder), f"it stands beside {LANDING}/", cure)
    yield from _misplaced(region, root.objects, f"it stands beside {LANDING}/", cure)
    for folder in landing.folders:
        if folder not in applications:
            found = objects.walk(f"{LANDING}/{folder}")
            yield from _misplaced(region, found, *strange_application(folder, applications))
    yield from _misplaced(region, landing.objects, "it stands beside the folders of the applications", cure)


def _misplaced(region: str, found: Iterable[Object], reason: str, cure: str) -> Iterator[UnusedFile]:
    for one in found:
        if not _is_hidden(one.key.split("/")):
            yield UnusedFile(visible(f"{region}/{one.key}"), reason, cure, visible(region))


def _is_hidden(names: list[str]) -> bool:
    return any(name.startswith((".", "_")) for name in names) or names[-1].endswith(_MARKER)
