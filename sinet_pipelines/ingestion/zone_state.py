"""The state of a landing zone for each day: it changes with the files below the day's folder; no file is opened.

A day in the state of its last observation needs no second one, however many files it has.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sinet_pipelines.ingestion.inspection import is_settled
from sinet_pipelines.ingestion.scan import RegionFolder
from sinet_pipelines.ingestion.scan_store import RegionPrefix
from sinet_pipelines.ingestion.zone_entries import day_of
from sinet_pipelines.storage.listing import age_of, folder_state


@dataclass(frozen=True)
class ZoneState:
    """The state of one landing zone.

    Attributes:
        digest: changes with any file of the zone.
        days: the digest of each day that has a folder; without days of which a file changed just now, since it may
            change again within one tick of the file system's clock.
    """

    digest: str
    days: Mapping[date, str]


def zone_state(zone: RegionFolder | RegionPrefix) -> ZoneState:
    """The present state of a landing zone, which is listed once.

    Raises:
        StorageError: the store of the zone cannot be reached, or denies access.
    """
    return _of_prefix(zone) if isinstance(zone, RegionPrefix) else _of_folder(zone)


def _of_folder(zone: RegionFolder) -> ZoneState:
    # the real path, since the zone may be a link to another folder with files of the same names
    lines, days, moving = [os.path.realpath(zone.path)], dict[date, list[str]](), set[date]()
    try:
        with os.scandir(zone.path) as found:
            entries = sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        return ZoneState(_digest([*lines, str(error.errno)]), {})
    for entry in entries:
        try:
            age = age_of(entry.stat(follow_symlinks=False)).decode()
        except OSError:
            continue
        if entry.is_dir(follow_symlinks=False):
            below = folder_state(entry.path)
            age = f"{age}{below.digest}"
            if (day := day_of(entry.name)) is not None:
                days.setdefault(day, lines[:1]).append(f"{entry.name}{below.digest}")
                moving |= set() if is_settled(below.changed_ns) else {day}
        lines.append(f"{entry.name}{age}")
    return ZoneState(_digest(lines), {day: _digest(one) for day, one in days.items() if day not in moving})


def _of_prefix(zone: RegionPrefix) -> ZoneState:
    lines, days = list[str](), dict[date, list[str]]()
    for one in zone.objects.walk(zone.prefix):
        lines.append(repr(one))
        day = day_of(one.key.removeprefix(f"{zone.prefix}/").partition("/")[0])
        if day is not None:
            days.setdefault(day, []).append(lines[-1])
    return ZoneState(_digest(sorted(lines)), {day: _digest(sorted(found)) for day, found in days.items()})


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
