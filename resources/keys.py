"""Identifies assets without importing them: parts of the key, tags that the asset declares, names of checks."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.materializations.asset_state import CONTRACT_CHECK as CONTRACT_CHECK  # defined there without Dagster
from sinet_pipelines.applications.application import AssetName, parse_key

UNUSUAL_CHECK = "nothing_is_unusual"  # the check of a table's days for what fails no day; it only warns
UNUSED_CHECK = "every_file_is_used"  # the check of a landing zone
WHOLE_DAY_CHECK = "last_whole_day_is_made"  # the check of a landing zone and of the daily tables made from it
CURRENT_CHECK = "online_features_are_current"  # the check of the asset that writes a region's online store
DRIFT_CHECK = "inputs_have_not_drifted"  # the check of a day's features; a failure requests one training

ENDPOINT = "endpoint"  # name of the model server, of each application that serves
LANDING_ZONE = "landing_zone"  # name of a region's files, of each application

APPLICATION_TAG = "sinet/application"
CADENCE_TAG = "sinet/cadence"
INPUTS_TAG = "sinet/inputs_are"  # the rule that computes the fingerprint of the asset's inputs
ROLE_TAG = "sinet/role"


class Cadence(StrEnum):
    """When an asset is made."""

    LANDING = "landing"  # as soon as drops or events change
    FOLLOW = "follow"  # after its upstreams
    DAILY = "daily"  # once a day at a fixed time
    TRAINING = "training"  # in a training; `sinet run` also makes it again when its inputs changed
    REFIT = "refit"  # in a training alone, once it exists
    MANUAL = "manual"  # by a person or a repair


class Role(StrEnum):
    """A special role of an asset for other assets."""

    LANDING_ZONE = "landing_zone"  # the files of a region, not made by a step
    ENDPOINT = "endpoint"  # serves requests: an asset that depends on it sends it rows
    DRIFT = "drift"  # its failed days request a training


def name_of(key: dg.AssetKey) -> AssetName:
    """The parts of an asset's key: region, application, name."""
    return parse_key(key.path)


def with_tag(graph: BaseAssetGraph, tag: str, *values: str) -> list[dg.AssetKey]:
    """Keys of the assets that declare one of these values, in the order of the graph."""
    return [key for key in graph.toposorted_asset_keys if graph.get(key).tags.get(tag) in values]


def declared(graph: BaseAssetGraph, key: dg.AssetKey, tag: str) -> str:
    """The value of an asset's tag; empty where it has none."""
    return graph.get(key).tags.get(tag, "") if graph.has(key) else ""


def of_region(keys: Iterable[dg.AssetKey], region: str) -> Iterator[dg.AssetKey]:
    """The keys that belong to a region."""
    return (key for key in keys if name_of(key).region == region)
