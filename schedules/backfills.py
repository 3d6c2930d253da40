"""What a person starts: the days and assets that are not what their inputs say, as the fewest runs that mend them.

An asset is stale when it was made from other inputs than its upstreams hold now (`resources/versions.py`), a day that
failed its contract only when its drops changed since. Regimes are refitted by the training schedule, never because
rows came: `plan_repair` leaves them as they are once they exist.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from resources.versions import (
    INPUTS_TAG,
    VERSION_TAG,
    days_made,
    days_refused,
    fingerprint,
    inputs_made_from,
    inputs_now,
)
from sinet_pipelines.features.inputs import day_inputs
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.regions import EAST, REGIONS, Region
from sinet_pipelines.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.tables import TableStore

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
APPLICATION = "predictive_maintenance"
CONTRACT_CHECK = "every_day_keeps_its_contract"
REACH_DAYS = 1  # as far back as the windows of `window_features` reach
REFITTED = ("regime_cells", "operating_regimes")  # by the training schedule only, once they exist


def regional(region: Region, name: str) -> dg.AssetKey:
    """The key of a region's asset."""
    return dg.AssetKey([region.name, APPLICATION, name])


@dataclass(frozen=True)
class PlannedRun:
    """One run to start.

    Attributes:
        keys: what it makes.
        days: first and last day of its assets with days, None where it has none.
    """

    keys: frozenset[dg.AssetKey]
    days: tuple[date, date] | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags that tell Dagster the range of days."""
        if self.days is None:
            return {}
        return {RANGE_START: self.days[0].isoformat(), RANGE_END: self.days[1].isoformat()}


@dataclass(frozen=True)
class StaleDays:
    """The days of one region that are to be made again, per asset of the chain of days."""

    region: Region
    raw: frozenset[date] = field(default_factory=frozenset)
    validated: frozenset[date] = field(default_factory=frozenset)
    features: frozenset[date] = field(default_factory=frozenset)


def stale_days(instance: dg.DagsterInstance, graph: BaseAssetGraph, home: Path, region: Region) -> StaleDays:
    """What of one region's days is not what its drops, rows and regimes say."""
    landing = LandingZone(home / "landing")
    landed = set(landing.days(region.name))
    raw_key, validated_key, features_key = (
        regional(region, name) for name in ("raw_telemetry", "validated_telemetry", "window_features")
    )
    raw_made = days_made(instance, raw_key)
    wanted = {day: fingerprint(_code(graph, raw_key), landing.fingerprint(region.name, day)) for day in landed}
    raw = {day for day in landed if _inputs(raw_made, day) != wanted[day]}
    validated_made = days_made(instance, validated_key)
    refused = days_refused(instance, validated_key, CONTRACT_CHECK)
    judged_from = {
        day: fingerprint(_code(graph, validated_key), tags.get(VERSION_TAG, "")) for day, tags in raw_made.items()
    }
    validated = raw | {
        day
        for day in landed.intersection(judged_from)
        if judged_from[day] not in (_inputs(validated_made, day), refused.get(day))
    }
    features_made = days_made(instance, features_key)
    reached = {day + timedelta(days=ahead) for day in validated for ahead in range(REACH_DAYS + 1)}
    now = _feature_inputs(home, region, code_version=_code(graph, features_key))
    features = reached.intersection(landed) | {day for day, one in now.items() if _inputs(features_made, day) != one}
    return StaleDays(region, frozenset(raw), frozenset(validated), frozenset(features))


def _feature_inputs(home: Path, region: Region, *, code_version: str) -> dict[date, str]:
    """What each day's features would be made from now; nothing before regimes exist: all days are reached then."""
    ref = BlobStore(home / "blobs" / EAST.name).resolve("operating_regimes")
    if ref is None:
        return {}
    regimes = OperatingRegimes.from_json(BlobStore(home / "blobs" / EAST.name).get(ref).decode())
    tables = TableStore(str(home / "tables" / region.name))
    rows = tables.read(VALIDATED_TELEMETRY, columns=["event_date", "unit", "row_hash"])
    early = tables.read(EARLY_TELEMETRY, columns=["unit", "row_hash"])
    return day_inputs(rows, early, regimes_version=regimes.version, reach_days=REACH_DAYS, code_version=code_version)


def plan_repair(
    instance: dg.DagsterInstance, graph: BaseAssetGraph, home: Path, *, also: Iterable[dg.AssetKey] = ()
) -> list[PlannedRun]:
    """The fewest runs that make everything what its inputs say, in order; empty where everything is.

    Args:
        instance: whose event log says what was made.
        graph: of the assets.
        home: where the fleet lies.
        also: assets known to be stale for a reason of their own (an endpoint whose server is gone).
    """
    stale = [stale_days(instance, graph, home, region) for region in REGIONS]
    rows = _by_range(
        (days.region, ("raw_telemetry", days.raw), ("validated_telemetry", days.validated)) for days in stale
    )
    features = _by_range((days.region, ("window_features", days.features)) for days in stale)
    with_days = {key for run in [*rows, *features] for key in run.keys}
    without_days = _stale_without_days(instance, graph, home, with_days.union(also))
    return _merged(rows, features, without_days, graph)


def _by_range(wanted: Iterable[tuple]) -> list[PlannedRun]:
    """Runs of contiguous days; assets and regions that need the same days share a run."""
    keys_of: dict[tuple[date, date], set[dg.AssetKey]] = {}
    for region, *assets in wanted:
        for name, days in assets:
            for span in contiguous(days):
                keys_of.setdefault(span, set()).add(regional(region, name))
    return [PlannedRun(frozenset(keys), span) for span, keys in sorted(keys_of.items(), key=lambda item: item[0])]


def contiguous(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """First and last day of each run of days without a gap.

    >>> [len(str(a)) for a, b in contiguous([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 4)])]
    [10, 10]
    """
    first = last = None
    for day in sorted(days):
        if last is not None and first is not None and day - last > timedelta(days=1):
            yield first, last
            first = day
        first = first or day
        last = day
    if first is not None and last is not None:
        yield first, last


def _stale_without_days(
    instance: dg.DagsterInstance, graph: BaseAssetGraph, home: Path, stale: set[dg.AssetKey]
) -> frozenset[dg.AssetKey]:
    """Assets without days that were made from other inputs than there are now, or come after one that is stale."""
    found: set[dg.AssetKey] = set()
    versions = _EventVersions(home)
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        if not node.is_executable or node.is_partitioned:
            continue
        made_from = inputs_made_from(instance, key)
        if key.path[-1] in REFITTED and made_from is not None:
            continue
        after_stale = bool(stale.union(found).intersection(node.parent_keys))
        if key.path[-1] in versions.kinds:
            now = versions.inputs(key, code_version=node.code_version or "")
        else:
            now = inputs_now(instance, node.parent_keys, code_version=node.code_version or "")
        if after_stale or key in stale or made_from != now:
            found.add(key)
    return frozenset(found)


@dataclass(frozen=True)
class _EventVersions:
    """What the assets of events are made from: files of the landing zone, not assets."""

    home: Path
    kinds: Mapping[str, str] = field(default_factory=lambda: {"failure_events": "failures", "truth_events": "truth"})

    def inputs(self, key: dg.AssetKey, *, code_version: str) -> str:
        landing = LandingZone(self.home / "landing")
        return fingerprint(code_version, landing.events_fingerprint(key.path[0], self.kinds[key.path[-1]]))


def _merged(
    rows: Sequence[PlannedRun], features: Sequence[PlannedRun], rest: frozenset[dg.AssetKey], graph: BaseAssetGraph
) -> list[PlannedRun]:
    """Runs in order, as few as may be: stages that need the same days share one, what has no days joins the last.

    What features need before they can be made (regimes, when there are none) must not wait for the last run.
    """
    needed_first = rest.intersection(_upstream_of_features(graph))
    if len(rows) <= 1 and len(features) <= 1 and (not rows or not features or rows[0].days == features[0].days):
        keys = frozenset().union(*(run.keys for run in [*rows, *features]), rest)
        days = next((run.days for run in [*rows, *features]), None)
        return [PlannedRun(keys, days)] if keys else []
    runs = [*rows]
    if needed_first:
        runs.append(PlannedRun(needed_first))
    runs += features
    remaining = rest - needed_first
    if remaining:
        runs.append(PlannedRun(remaining))
    return runs


def _upstream_of_features(graph: BaseAssetGraph) -> set[dg.AssetKey]:
    return {key for key in graph.toposorted_asset_keys if key.path[-1] in REFITTED}


def _code(graph: BaseAssetGraph, key: dg.AssetKey) -> str:
    return graph.get(key).code_version or ""


def _inputs(made: Mapping[date, Mapping[str, str]], day: date) -> str | None:
    return made[day].get(INPUTS_TAG) if day in made else None


def landed_range(home: Path) -> tuple[date, date] | None:
    """First and last landed day over all regions."""
    landing = LandingZone(home / "landing")
    days = [day for region in REGIONS for day in landing.days(region.name)]
    return (min(days), max(days)) if days else None
