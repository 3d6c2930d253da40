"""Finds stale assets and days: those that were made from other drops, rows, regimes or code than the present.

The dependencies of an asset are declared at the asset (`resources/keys.py`); nothing here names an asset. A day that
failed its contract is stale only if its inputs have changed since: the same rows would fail again. A day whose drops
were all withdrawn is stale as long as a table has rows of it. Days that are no partition (before the first day, or in
the future) are left as they are.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.deployment import Deployment
from resources.keys import CONTRACT_CHECK, INPUTS_TAG, Cadence, declared, name_of
from resources.materializations.declared_assets import DeclaredAssets
from resources.materializations.inputs import rule_of
from resources.materializations.kept import BESIDE_TABLES, Kept, place_of
from resources.materializations.published import Published
from resources.materializations.versions import (
    CODE_TAG,
    Tags,
    holds_rows,
    inputs_from,
    judged_inputs,
    version_in,
    version_of_days,
)
from resources.materializations.versions import INPUTS_TAG as MADE_FROM_TAG
from sinet_pipelines.applications.application import Application
from sinet_pipelines.applications.rules import RuleView
from sinet_pipelines.monitoring.published import NO_EVENTS, Publication
from sinet_pipelines.schemas.contract import TableName
from sinet_pipelines.storage.blobs import BlobStore, blobs_of
from sinet_pipelines.storage.fingerprint import fingerprint


@dataclass(frozen=True)
class Staleness(DeclaredAssets):
    """The materialised assets and days, compared with their present inputs.

    Attributes:
        instance: whose event log records what was made from what.
        graph: of the assets.
        deployment: home and regions.
        read: the published data of the regions; None to read them without a limit of time.
    """

    instance: dg.DagsterInstance
    graph: BaseAssetGraph
    deployment: Deployment
    read: Published | None = field(default=None, repr=False, compare=False)
    _landed: dict[tuple[str, str], list[date]] = field(default_factory=dict, repr=False, compare=False)
    _versions: dict[dg.AssetKey, str] = field(default_factory=dict, repr=False, compare=False)
    _made: dict[dg.AssetKey, Mapping[date, Tags]] = field(default_factory=dict, repr=False, compare=False)
    _stale: dict[dg.AssetKey, frozenset[date]] = field(default_factory=dict, repr=False, compare=False)
    _spans: dict[dg.AssetKey, tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)
    _now: dict[dg.AssetKey, Mapping[date, str]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def home(self) -> Path:
        """The home."""
        return self.deployment.home

    # where its data is

    @property
    def applications(self) -> Mapping[str, Application]:
        """The applications by name."""
        return self.published.applications

    @cached_property
    def published(self) -> Published:
        """The published data of the regions; each region is read once."""
        return self.read or Published(self.deployment)

    def publication(self, key: dg.AssetKey) -> Publication:
        """The published data of the asset's region and application."""
        return self.published.of(self.region(key), name_of(key).application)

    def blobs(self, region: str, application: str) -> BlobStore:
        """The blobs of a region, with the refs of an application."""
        return blobs_of(self.home, region, application)

    def view(self, key: dg.AssetKey) -> RuleView:
        """The data that a rule of an application may read."""
        app = self.application(key)
        return RuleView(
            digest=lambda digest: self.published.digest(self.region(key), app.name, digest),
            blobs=lambda region: self.blobs(region, app.name),
            code_version=self.code(key),
            is_lost=lambda name: self.kept.is_lost(dg.AssetKey(app.key(name))),
        )

    # what is there, and what was made

    def landed(self, key: dg.AssetKey) -> list[date]:
        """Days with landed files for a region's asset that are partitions, in order."""
        place = (name_of(key).application, self.region(key))
        if place not in self._landed:
            found = self.publication(key).days
            self._landed[place] = [day for day in sorted(found) if self._is_partition(key, day)]
        return self._landed[place]

    @cached_property
    def active(self) -> frozenset[str]:
        """Names of the applications for which rows ever landed, or whose raw rows were made."""
        keys = self.keys_with_days(Cadence.LANDING)
        return frozenset(name_of(key).application for key in keys if self.landed(key) or self.kept.recorded_days(key))

    def made(self, key: dg.AssetKey) -> Mapping[date, Tags]:
        """The materialised days of an asset that storage still holds; read once."""
        if key not in self._made:
            self._made[key] = self.kept.days(key)
        return self._made[key]

    def rows(self, key: dg.AssetKey) -> dict[date, str]:
        """The version of each day of an asset that holds rows."""
        return {day: version_in(tags) for day, tags in self.made(key).items() if holds_rows(tags)}

    @cached_property
    def kept(self) -> Kept:
        """The data that storage still holds; read once."""
        return Kept(self.instance, self.graph, self.deployment, self.published)

    # what is stale

    def parent_versions(self, key: dg.AssetKey) -> dict[dg.AssetKey, str]:
        """The versions of what the upstreams without days hold."""
        once = [one for one in self.graph.get(key).parent_keys if not self.graph.get(one).is_partitioned]
        return {one: self.version(one) for one in once}

    def inputs_by_day(self, key: dg.AssetKey) -> Mapping[date, str]:
        """The fingerprint of the present inputs of each day of an asset."""
        if key not in self._now:
            self._now[key] = rule_of(self, key, declared(self.graph, key, INPUTS_TAG)).now(self, key)
        return self._now[key]

    def stale(self, key: dg.AssetKey) -> frozenset[date]:
        """The days of an asset to make again, including days whose upstream is about to change."""
        if key not in self._stale:
            self._stale[key] = self._find_stale(key)
        return self._stale[key]

    def is_awaited(self, key: dg.AssetKey) -> bool:
        """Whether the region has not yet published the results of its steps; until then its assets are not planned."""
        return bool(self.region(key)) and self.kept.is_awaited(self.region(key), name_of(key).application)

    def _find_stale(self, key: dg.AssetKey) -> frozenset[date]:
        return self.stale_after(key, frozenset[date]().union(*(self.stale(one) for one in self.parents_with_days(key))))

    def stale_after(self, key: dg.AssetKey, after: frozenset[date]) -> frozenset[date]:
        """The days of an asset to make again where these days of its upstreams are made again, and no others.

        Args:
            key: of the asset.
            after: days of any of its upstreams.
        """
        if self.is_awaited(key):
            return frozenset()
        rule, now, made = (
            rule_of(self, key, declared(self.graph, key, INPUTS_TAG)),
            self.inputs_by_day(key),
            self.made(key),
        )
        refused = self._refused(key)
        changed = {day for day, inputs in now.items() if refused.get(day, _inputs(made, day)) != inputs}
        landed = {*self.landed(key), *after}
        gone = self._left_over(key, made, but={*now, *after})
        gone |= {day for day in set(refused).difference(landed) if self._is_partition(key, day)}
        return frozenset({*changed, *rule.reached(self, key, after)} & landed | gone)

    def _refused(self, key: dg.AssetKey) -> Mapping[date, str]:
        """The days that failed the asset's contract, with the inputs that were checked."""
        refused = self.kept.refusals(dg.AssetCheckKey(key, CONTRACT_CHECK))
        return {day: judged_inputs(evaluation) for day, evaluation in refused.items()}

    def _left_over(self, key: dg.AssetKey, made: Mapping[date, Tags], *, but: Collection[date]) -> frozenset[date]:
        """Days with rows in the event log or in a table whose inputs no longer exist."""
        held = {day for day, tags in made.items() if holds_rows(tags)}
        held = held.union(*(self.kept.days_in(*place) for place in self._places(key)))
        return frozenset(day for day in held.difference(but) if self._is_partition(key, day))

    def _places(self, key: dg.AssetKey) -> list[tuple[str, str, TableName]]:
        """Region, application, name and class of the tables that the asset writes."""
        node = self.graph.get(key)
        place, beside = place_of(node), node.metadata.get(BESIDE_TABLES)
        if place.table is None:
            return []
        names = str(getattr(beside, "value", beside)).split(", ") if beside is not None else []
        tables = (place.table, *(replace(place.table, name=name) for name in names))
        return [(place.region, place.application, table) for table in tables]

    def stale_events(self, region: str) -> dict[dg.AssetKey, str]:
        """The tables of events whose files have changed, each with the fingerprint of its present inputs."""
        keys = [key for key in self.events() if self.region(key) == region and not self.is_awaited(key)]
        keys = [key for key in keys if self._has_events(key)]
        now = {key: self.inputs_of(key) for key in keys}
        return {key: inputs for key, inputs in now.items() if self.inputs_made_from(key) != inputs}

    def stale_without_days(
        self, changing: Iterable[dg.AssetKey], *, leave: Collection[str], also: Collection[dg.AssetKey] = ()
    ) -> frozenset[dg.AssetKey]:
        """The stale assets without days that can be made now.

        An asset whose upstream is stale is included only if it is stale itself: the new upstream may have the same
        content, which is known only after it was made. A stale asset with a stale upstream waits for it, since it would
        otherwise be made from half old and half new inputs. An asset that was never made does not wait for stale
        upstreams that exist.

        Args:
            changing: assets with days that are made again in the same run.
            leave: cadences whose assets are left as they are once they exist.
            also: assets to be made whatever their inputs are.
        """
        unsettled, waiting, found = set(changing), set[dg.AssetKey](), set[dg.AssetKey](also)
        for key in self.graph.toposorted_asset_keys:
            node = self.graph.get(key)
            if not node.is_materializable or node.is_partitioned or key in found or not self.is_active(key):
                continue
            if self.cadence(key) == Cadence.LANDING and self.is_awaited(key):
                continue
            made_from = self.inputs_made_from(key)
            if made_from is not None and self.cadence(key) in leave and self._is_of_this_code(key):
                continue
            if made_from == self.inputs_of(key):
                continue
            awaited = waiting if made_from is None else unsettled
            unsettled.add(key)
            if awaited.isdisjoint(self.above(key)):
                found.add(key)
            else:
                waiting.add(key)
        return frozenset(found)

    def is_active(self, key: dg.AssetKey) -> bool:
        """Whether rows ever landed for the asset's application."""
        return name_of(key).application in self.active

    def _is_of_this_code(self, key: dg.AssetKey) -> bool:
        """Whether an asset was made by the present code; true for one that does not record its code."""
        event = self.kept.event(key)
        code = ((event.tags or {}) if event is not None else {}).get(CODE_TAG)
        return code is None or code == self.code(key)

    def inputs_made_from(self, key: dg.AssetKey) -> str | None:
        """The inputs that an asset without days was last made from; None if it was never made or its data are lost."""
        event = self.kept.event(key)
        return (event.tags or {}).get(MADE_FROM_TAG) if event is not None else None

    def inputs_of(self, key: dg.AssetKey) -> str:
        """The fingerprint of the present inputs of an asset without days; landed files count by their content."""
        if self.cadence(key) == Cadence.LANDING:
            events = self.publication(key).events.get(self.kind(key), NO_EVENTS)
            return fingerprint(self.code(key), events.content)
        upstream = {one: self.version(one) for one in self.graph.get(key).parent_keys}
        return inputs_from(upstream, code_version=self.code(key))

    def version(self, key: dg.AssetKey) -> str:
        """The version of an asset's content, all of its days together; read once."""
        if key not in self._versions:
            days = self.kept.recorded_days(key) if self.graph.has(key) and self.graph.get(key).is_partitioned else {}
            tags = {day: event.tags for day, event in days.items()}
            self._versions[key] = version_of_days(tags) if tags else self.kept.newest_version(key)
        return self._versions[key]

    def _has_events(self, key: dg.AssetKey) -> bool:
        """Whether the table of events was ever made, or files for it have landed."""
        if self.kept.newest(key) is not None:
            return True
        return self.publication(key).events.get(self.kind(key), NO_EVENTS).rows > 0

    def _is_partition(self, key: dg.AssetKey, day: date) -> bool:
        partitions = self.graph.get(key).partitions_def
        if not isinstance(partitions, dg.DailyPartitionsDefinition):
            return partitions is not None and partitions.has_partition_key(day.isoformat())
        if key not in self._spans:
            first, last = partitions.get_first_partition_key(), partitions.get_last_partition_key()
            self._spans[key] = (first or "", last or "")
        first, last = self._spans[key]
        return first <= day.isoformat() <= last


def _inputs(made: Mapping[date, Tags], day: date) -> str | None:
    return made[day].get(MADE_FROM_TAG) if day in made else None
