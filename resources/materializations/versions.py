"""Reads from the event log the version of each asset, and the inputs that it was made from.

An asset is done when it was made from the present versions of its upstreams; their fingerprint is a tag of each
materialisation. So nothing is made twice, and the next run continues one that was killed.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import dagster as dg

from resources.dagster_private import (
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from resources.materializations.day_log import read_days, read_refusals
from sinet_pipelines.storage.fingerprint import fingerprint

VERSION_TAG = "dagster/data_version"
CODE_TAG = "dagster/code_version"
INPUTS_TAG = "sinet/inputs"
INPUTS_ENTRY = "inputs"  # the same, in the metadata of a check: what a failed day was judged from

NOTHING = "e3b0c44298fc1c14"  # the version of a day without rows: the content hash of nothing
UNKNOWN = ""  # the version of an event without one: a user reported it in the UI or over the REST API

NEVER_MADE = "INITIAL"  # Dagster's version of an asset that was never made

Tags = Mapping[str, str]


def holds_rows(tags: Tags) -> bool:
    """Whether a day with these tags may have rows: true unless it was recorded as empty."""
    return version_in(tags) != NOTHING


def version_in(tags: Tags) -> str:
    """The data version among an event's tags; `UNKNOWN` for an event without one."""
    return tags.get(VERSION_TAG) or UNKNOWN


def days_made(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[date, Tags]:
    """Tags of the newest materialisation of each day of an asset; version and inputs are among them."""
    return {day: event.tags for day, event in read_days(instance, [key])[key].items()}


def total_of(instance: dg.DagsterInstance, key: dg.AssetKey, entry: str) -> int:
    """The sum of a number that is recorded for each day of an asset; a day without it adds nothing."""
    return sum(event.numbers.get(entry) or 0 for event in read_days(instance, [key])[key].values())


def days_refused(instance: dg.DagsterInstance, key: dg.AssetKey, check: str) -> dict[date, str]:
    """The days whose newest check failed, each with the inputs that were checked; empty where these are unknown."""
    return {day: judged_inputs(evaluation) for day, evaluation in refusals(instance, key, check).items()}


def judged_inputs(evaluation: dg.AssetCheckEvaluation) -> str:
    """The inputs that were checked for a day; empty where these are unknown."""
    inputs = evaluation.metadata.get(INPUTS_ENTRY)
    return str(inputs.value or "") if isinstance(inputs, dg.TextMetadataValue) else ""


def refusals(instance: dg.DagsterInstance, key: dg.AssetKey, check: str) -> dict[date, dg.AssetCheckEvaluation]:
    """The days whose newest check failed, each with that result."""
    check_key = dg.AssetCheckKey(key, check)
    return read_refusals(instance, [check_key])[check_key]


def version_of(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """The version of an asset's content, all of its days together; empty for an asset without content.

    A day without rows adds nothing, so that a request for it changes nothing either. A day of unknown content adds
    nothing too: it is made again first.
    """
    days = days_made(instance, key)
    if days:
        return version_of_days(days)
    event = instance.get_latest_materialization_event(key)
    tags = event.asset_materialization.tags if event and event.asset_materialization else None
    return version_in(tags or {})


def version_of_days(days: Mapping[date, Tags]) -> str:
    """The version of the content of an asset with days, from the tags of each day."""
    versions = {day: version_in(tags) for day, tags in days.items() if version_in(tags) not in (NOTHING, UNKNOWN)}
    return fingerprint(*(f"{day}={version}" for day, version in sorted(versions.items()))) if versions else ""


def provenance(instance: dg.DagsterInstance, upstream: Iterable[dg.AssetKey]) -> dict[str, str]:
    """Tags that link a day to its inputs on Dagster's pages; without them each day is shown as out of sync.

    Args:
        instance: its event log has the versions of the upstreams.
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
    """The fingerprint of the present inputs of an asset."""
    return inputs_from({key: version_of(instance, key) for key in upstream}, code_version=code_version)


def inputs_from(versions: Mapping[dg.AssetKey, str], *, code_version: str) -> str:
    """The fingerprint of an asset's inputs: its code, and the versions of its upstreams."""
    return fingerprint(code_version, *(f"{key.to_user_string()}={versions[key]}" for key in sorted(versions)))
