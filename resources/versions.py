"""What the event log says of assets: the version of what each holds, and the inputs it was made from.

An asset is done when it was made from the inputs that its upstreams hold now; a fingerprint of them is a tag of each
materialisation. So nothing is made twice, and a run that was killed goes on where it was.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import dagster as dg
from dagster._core.definitions.data_version import (
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.events import DagsterEventType

from sinet_pipelines.storage.fingerprint import fingerprint

VERSION_TAG = "dagster/data_version"
CODE_TAG = "dagster/code_version"
INPUTS_TAG = "sinet/inputs"
INPUTS_ENTRY = "inputs"  # the same, in the metadata of a check: what a failed day was judged from

NOTHING = "e3b0c44298fc1c14"  # the version of a day without rows: the content hash of nothing
UNKNOWN = ""  # the version of what was recorded without one: somebody reported it on a page or over the REST API
GAP_TAG = "sinet/gap"  # of a landed day that was made without rows, since its upstream has none: why

NEVER_MADE = "INITIAL"  # Dagster's word for the version of what was never made
PAGE = 1000  # records of one query

Tags = Mapping[str, str]


def holds_rows(tags: Tags) -> bool:
    """Whether a day of these tags may have rows: all do that were not recorded as empty."""
    return version_in(tags) != NOTHING


def version_in(tags: Tags) -> str:
    """The data version among an event's tags; `UNKNOWN` where whoever recorded the event gave none."""
    return tags.get(VERSION_TAG) or UNKNOWN


def as_day(partition: str | None) -> date | None:
    """The day that a partition key names; None for a key that is no day, which anybody may report an event of."""
    try:
        day = date.fromisoformat(partition or "")
    except ValueError:
        return None
    return day if day.isoformat() == partition else None


def days_made(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[date, Tags]:
    """Tags of each day of an asset, as last materialised; its version and inputs are among them."""
    return {day: event.tags or {} for day, event in day_events(instance, key).items()}


def total_of(instance: dg.DagsterInstance, key: dg.AssetKey, entry: str) -> int:
    """The sum of a number that each day of an asset says of itself; a day that does not say it adds nothing."""
    found = (event.metadata.get(entry) for event in day_events(instance, key).values())
    return sum(value.value or 0 for value in found if isinstance(value, dg.IntMetadataValue))


def day_events(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[date, dg.AssetMaterialization]:
    """Each day of an asset as it was last materialised."""
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
    ids = sorted(newest.values())
    found: dict[date, dg.AssetMaterialization] = {}
    for start in range(0, len(ids), PAGE):
        chosen = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + PAGE])
        for record in instance.fetch_materializations(chosen, limit=PAGE).records:
            event = record.asset_materialization
            day = as_day(event.partition) if event else None
            if event is not None and day is not None:
                found[day] = event
    return found


def days_refused(instance: dg.DagsterInstance, key: dg.AssetKey, check: str) -> dict[date, str]:
    """The days whose newest check failed, each with the inputs it was judged from; empty where these are not known."""
    found = {}
    for day, evaluation in refusals(instance, key, check).items():
        inputs = evaluation.metadata.get(INPUTS_ENTRY)
        found[day] = str(inputs.value or "") if isinstance(inputs, dg.TextMetadataValue) else ""
    return found


def refusals(instance: dg.DagsterInstance, key: dg.AssetKey, check: str) -> dict[date, dg.AssetCheckEvaluation]:
    """The days whose newest check failed, each with that result."""
    newest: dict[date, dg.AssetCheckEvaluation] = {}
    check_key = dg.AssetCheckKey(key, check)
    cursor: int | None = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(check_key, limit=PAGE, cursor=cursor)
        for record in page:
            entry = record.event.dagster_event if record.event else None
            if entry is None or entry.event_type != DagsterEventType.ASSET_CHECK_EVALUATION:
                continue
            evaluation = entry.asset_check_evaluation_data
            day = as_day(evaluation.partition)
            if day is not None:
                newest.setdefault(day, evaluation)
        if len(page) < PAGE:
            return {day: evaluation for day, evaluation in newest.items() if not evaluation.passed}
        cursor = page[-1].id


def version_of(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """The version of what an asset holds, all of its days together; empty for one that holds nothing.

    A day without rows adds nothing, so that asking for it changes nothing either. Nor does one of unknown content: it
    is made again first.
    """
    days = days_made(instance, key)
    if days:
        versions = {day: version_in(tags) for day, tags in days.items() if version_in(tags) not in (NOTHING, UNKNOWN)}
        return fingerprint(*(f"{day}={version}" for day, version in sorted(versions.items()))) if versions else ""
    event = instance.get_latest_materialization_event(key)
    tags = event.asset_materialization.tags if event and event.asset_materialization else None
    return version_in(tags or {})


def provenance(instance: dg.DagsterInstance, upstream: Iterable[dg.AssetKey]) -> dict[str, str]:
    """Tags by which Dagster's pages know what a day was made from; without them each day is told to be out of sync.

    Args:
        instance: whose event log says what the upstreams hold.
        upstream: keys of the assets that a step reads.
    """
    keys = sorted(upstream)
    newest = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(keys)}
    tags = {}
    for key in keys:
        entry = newest.get(key)
        made = entry.last_materialization if entry else None
        event = made.asset_materialization if made else None
        tags[get_input_data_version_tag(key)] = ((event.tags if event else None) or {}).get(VERSION_TAG, NEVER_MADE)
        stored = entry.last_materialization_storage_id if entry else None
        tags[get_input_event_pointer_tag(key)] = NULL_EVENT_POINTER if stored is None else str(stored)
    return tags


def inputs_now(instance: dg.DagsterInstance, upstream: Iterable[dg.AssetKey], *, code_version: str) -> str:
    """The fingerprint of what an asset would be made from now."""
    return inputs_from({key: version_of(instance, key) for key in upstream}, code_version=code_version)


def inputs_from(versions: Mapping[dg.AssetKey, str], *, code_version: str) -> str:
    """The fingerprint of what an asset is made from: its code, and the versions of what its upstreams hold."""
    return fingerprint(code_version, *(f"{key.to_user_string()}={versions[key]}" for key in sorted(versions)))
