"""Finds the files of a home that are in no region's or no application's landing zone, with the reason and the cure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sinet_pipelines.escaping import visible
from sinet_pipelines.ingestion.scan import RegionFolder, UnusedFile
from sinet_pipelines.ingestion.zone_entries import day_of, entries_of, is_real_folder, visible_files, why_no_file
from sinet_pipelines.storage.layout import LANDING, PARTS, landing_folders
from sinet_pipelines.storage.roots import region_folder


def misplaced_in_home(home: Path, applications: Collection[str], regions: Sequence[str]) -> Iterator[UnusedFile]:
    """The files of a home in a landing zone of no region or of no application.

    Args:
        home: the home.
        applications: names of the applications of the deployment.
        regions: names of the regions of the deployment.
    """
    for region in regions:
        yield from misplaced_in_region(home, region, applications)
    yield from misplaced_outside(home, applications, regions)


def misplaced_in_region(home: Path, region: str, applications: Collection[str]) -> Iterator[UnusedFile]:
    """The files in a region's folder that are in no application's landing zone.

    Args:
        home: the home.
        region: name of the region.
        applications: names of the applications of the deployment.
    """
    for entry in entries_of(region_folder(home, region) / LANDING):
        path = Path(entry.path)
        if entry.name in applications:
            continue
        if entry.is_dir():
            zone = RegionFolder(home, region, entry.name, (region,))
            found = zone.all_files(*strange_application(entry.name, applications))
            yield from (replace(one, application="") for one in found)
        else:
            reason = why_no_file(path) or "it stands beside the folders of the applications"
            cure = f"move it into {region}/{LANDING}/<application>/<YYYY-MM-DD>/ or remove it"
            shown = visible((region / path.relative_to(region_folder(home, region))).as_posix())
            yield UnusedFile(shown, reason, cure, visible(region))
    yield from _beside_landing(home, region)


def misplaced_outside(home: Path, applications: Collection[str], regions: Sequence[str]) -> Iterator[UnusedFile]:
    """The files in landing zones of folders that are not regions, and in the landing folder of version 0.1.

    Args:
        home: the home.
        applications: names of the applications of the deployment.
        regions: names of the regions of the deployment.
    """
    for region in unknown_regions(home, regions):
        reason, cure = _strange_region(region, regions)
        for entry in entries_of(home / region / LANDING):
            zone, path = RegionFolder(home, region, entry.name, tuple(regions)), Path(entry.path)
            found = zone.all_files(reason, cure) if entry.is_dir() else [_misplaced(home, path, region, reason, cure)]
            is_of_application = entry.name in applications
            yield from (replace(one, application=entry.name if is_of_application else "") for one in found)
    yield from _in_old_place(home)


def _misplaced(home: Path, path: Path, region: str, reason: str, cure: str) -> UnusedFile:
    return UnusedFile(visible(path.relative_to(home).as_posix()), reason, cure, visible(region))


def _strange_region(name: str, regions: Sequence[str]) -> tuple[str, str]:
    """Why a folder is not a region's, and what to do."""
    meant = next((one for one in regions if one.casefold() == name.casefold()), None)
    cure = f"rename the folder to {meant}" if meant else "add the region to inventory.yaml or remove the folder"
    return f"no region {visible(name)} is in the inventory (known: {', '.join(regions)})", cure


def strange_application(name: str, applications: Collection[str]) -> tuple[str, str]:
    """Why a folder beside those of applications is not one of them, and what to do."""
    known = ", ".join(sorted(applications))
    if day_of(name) is not None:
        return f"{visible(name)} is a day outside of an application's folder", f"move it into one of: {known}"
    meant = next((one for one in applications if one.casefold() == name.casefold()), None)
    cure = f"rename the folder to {meant}" if meant else f"move its files into the folder of one of: {known}"
    return f"{visible(name)} is no application (known: {known})", f"{cure}, or remove it"


def _beside_landing(home: Path, region: str) -> Iterator[UnusedFile]:
    """The files in a region's folder outside of all its parts; they probably belong in its landing zone."""
    reason = f"it stands beside {LANDING}/"
    cure = f"move it into {region}/{LANDING}/<application>/<YYYY-MM-DD>/ or remove it"
    root = region_folder(home, region)
    for entry in entries_of(root):
        if entry.name in PARTS:
            continue
        for path in visible_files(Path(entry.path)) if is_real_folder(entry) else [Path(entry.path)]:
            shown = visible((region / path.relative_to(root)).as_posix())
            yield UnusedFile(shown, reason, cure, visible(region))


def _in_old_place(home: Path) -> Iterator[UnusedFile]:
    """The files in `landing/` at the top of a home, where version 0.1 had its landing zones."""
    cure = f"move it into <REGION>/{LANDING}/<application>/<YYYY-MM-DD>/ or remove it"
    for path in visible_files(home / LANDING):
        yield _misplaced(home, path, "", "each region has a landing zone of its own", cure)


def unknown_regions(home: Path, regions: Collection[str]) -> list[str]:
    """Names of the folders in a home that have a landing zone and are none of these regions, in order."""
    return [landing.parent.name for landing in landing_folders(home) if landing.parent.name not in regions]
