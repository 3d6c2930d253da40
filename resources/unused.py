"""Records the files of landing zones that no table reads: one check for each region's landing zone.

The newest result of the check is the state. It is recorded when the files or their reasons change: by the sensor
`landing`, by `sinet run`, and by the check's own button.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from pathlib import PurePosixPath

import dagster as dg

from resources.dagster_private import AssetCheckExecutionRecordStatus
from resources.deployment import Deployment
from resources.keys import LANDING_ZONE, UNUSED_CHECK
from resources.materializations.published import Published
from sinet_pipelines.escaping import for_markdown
from sinet_pipelines.ingestion.scan import UnusedFile

SHOWN_FILES = 50  # rows of the table on a page; `sinet status --json` lists all
NAMED_FILES = 3  # of a folder in one warning
_DIGEST_ENTRY = "content"  # hash of the list, by which a change is detected
_HEADINGS = ("file", "reason", "what to do")


def evaluation(zone: dg.AssetKey, files: Sequence[UnusedFile]) -> dg.AssetCheckEvaluation:
    """The check's result: passed when every file is used; else a warning, since no table is wrong because of it."""
    rows = [
        dg.TableRecord(dict(zip(_HEADINGS, (one.path, one.reason, one.cure), strict=True)))
        for one in files[:SHOWN_FILES]
    ]
    return dg.AssetCheckEvaluation(
        asset_key=zone,
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


def record_unused(
    instance: dg.DagsterInstance, deployment: Deployment, published: Published | None = None
) -> dict[str, tuple[UnusedFile, ...]]:
    """The unused files by landing zone; records a result for each zone whose list differs from its latest result.

    Args:
        instance: its event log has the results.
        deployment: home and regions.
        published: the published data of its regions, if they are read already.
    """
    files: dict[str, tuple[UnusedFile, ...]] = {}
    published = published or Published(deployment)
    for application in published.landing:
        for region in deployment.regions:
            key = dg.AssetKey(application.key(LANDING_ZONE, region=region.name))
            files[key.to_user_string()] = listed = published.unused(region.name, application.name)
            found = evaluation(key, listed)
            if _newest_digest(instance, found.asset_check_key) != _digest(listed):
                instance.report_runless_asset_event(found)
    return files


def warnings_of(files: Mapping[str, Sequence[UnusedFile]]) -> dict[str, str]:
    """One sentence for each folder and reason, by a hash that changes with the files."""
    warnings: dict[str, str] = {}
    distinct = sorted({one for found in files.values() for one in found}, key=_order)
    for (folder, reason, cure), group in groupby(distinct, key=_folder_and_reason):
        names = [PurePosixPath(one.path).name for one in group]
        shown = ", ".join(names[:NAMED_FILES]) + (", ..." if len(names) > NAMED_FILES else "")
        text = f"not used in {folder}: {shown} (files: {len(names)}): {reason}; {cure}"
        warnings[blake2b("\n".join([folder, reason, *names]).encode(), digest_size=8).hexdigest()] = text
    return warnings


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
