"""Records which files of the landing zone no table takes rows from: one check of each region's zone.

The check's newest result is the state; it is recorded when the files or their reasons change, by the sensor `landing`,
by `sinet run` and by the check's own button.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from pathlib import Path, PurePosixPath

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from resources.keys import UNUSED_CHECK, regional_key
from resources.settings import settings
from sinet_pipelines.escaping import for_markdown
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.scan import UnusedFile
from sinet_pipelines.regions import REGIONS, Region

SHOWN_FILES = 50  # rows of the table on a page; `sinet status --json` lists all
NAMED_FILES = 3  # of a folder in one warning
_DIGEST_ENTRY = "content"  # hash of the list, by which a change of it is known
_HEADINGS = ("file", "reason", "what to do")


def unused_files(zone: LandingZone, region: Region) -> tuple[UnusedFile, ...]:
    """The unused files of a region, and those that stand in no region's folder."""
    return (*zone.unused(region.name, first_day=settings().first_day), *zone.nobodys())


def evaluation(region: Region, files: Sequence[UnusedFile]) -> dg.AssetCheckEvaluation:
    """The check's result: passed when every file is used; a warning, since no table is wrong because of it."""
    rows = [
        dg.TableRecord(dict(zip(_HEADINGS, (one.path, one.reason, one.cure), strict=True)))
        for one in files[:SHOWN_FILES]
    ]
    return dg.AssetCheckEvaluation(
        asset_key=regional_key(region, "landing_zone"),
        check_name=UNUSED_CHECK,
        passed=not files,
        severity=dg.AssetCheckSeverity.WARN,
        description=for_markdown(f"files not used: {len(files)}; the first: {files[0].message}") if files else None,
        metadata={
            "files": len(files),
            _DIGEST_ENTRY: _digest(files),
            **({"which": dg.MetadataValue.table(rows)} if rows else {}),
        },
    )


def record_unused(instance: dg.DagsterInstance, home: Path) -> dict[str, tuple[UnusedFile, ...]]:
    """The unused files by region; a result is recorded for each whose list is another than that of its newest."""
    zone = LandingZone(home / "landing")
    files = {region.name: unused_files(zone, region) for region in REGIONS}
    for region in REGIONS:
        found = evaluation(region, files[region.name])
        if _newest_digest(instance, found.asset_check_key) != _digest(files[region.name]):
            instance.report_runless_asset_event(found)
    return files


def warnings_of(files: Mapping[str, Sequence[UnusedFile]]) -> dict[str, str]:
    """One sentence for the files of one folder that have one reason, by a hash that changes with them."""
    said: dict[str, str] = {}
    distinct = sorted({one for found in files.values() for one in found}, key=_order)
    for (folder, reason, cure), group in groupby(distinct, key=_folder_and_reason):
        names = [PurePosixPath(one.path).name for one in group]
        shown = ", ".join(names[:NAMED_FILES]) + (", ..." if len(names) > NAMED_FILES else "")
        text = f"not used in landing/{folder}: {shown} (files: {len(names)}): {reason}; {cure}"
        said[blake2b("\n".join([folder, reason, *names]).encode(), digest_size=8).hexdigest()] = text
    return said


def _folder_and_reason(one: UnusedFile) -> tuple[str, str, str]:
    return str(PurePosixPath(one.path).parent), one.reason, one.cure


def _order(one: UnusedFile) -> tuple[str, str, str, str]:
    return *_folder_and_reason(one), one.path


def _digest(files: Sequence[UnusedFile]) -> str:
    text = json.dumps([(one.path, one.reason) for one in files])
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _newest_digest(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> str | None:
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=5):
        if record.status == AssetCheckExecutionRecordStatus.PLANNED or record.event is None:
            continue
        entry = record.event.dagster_event
        value = entry.asset_check_evaluation_data.metadata.get(_DIGEST_ENTRY) if entry else None
        return str(value.value) if value is not None else None
    return None
