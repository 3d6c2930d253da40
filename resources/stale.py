"""What is not what its inputs say: days and assets made from other drops, rows, regimes or code than there are now.

A day that failed its contract is stale only when its drops changed since: judging the same rows again says the same.
A day whose every drop was withdrawn is stale as long as a table has rows of it. Days that are no partition (before the
first day, or still to come) are left alone until they are.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from pathlib import Path

import dagster as dg
import polars as pl
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from resources.kept import Kept
from resources.keys import CONTRACT_CHECK, REGIMES, global_key, regional_key
from resources.settings import settings
from resources.versions import (
    CODE_TAG,
    INPUTS_TAG,
    Tags,
    days_made,
    days_refused,
    holds_rows,
    inputs_now,
    version_in,
)
from sinet_pipelines.features.inputs import day_inputs
from sinet_pipelines.features.regimes import OperatingRegimes
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.monitoring.input_drift import drift_inputs, reference_span
from sinet_pipelines.regions import EAST, REGIONS, Region
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.schemas.features import REACH_DAYS, WINDOW_FEATURES
from sinet_pipelines.schemas.monitoring import INPUT_DRIFT
from sinet_pipelines.schemas.telemetry import EARLY_TELEMETRY, QUARANTINE, RAW_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import DAY_COLUMN, TableStore
from sinet_pipelines.validation.doubt import doubt_of_days, keeps_its_rules, rows_in_doubt

DOUBT_COLUMNS = ("event_date", "recorded_at", *VALIDATED_TELEMETRY.key)  # of raw rows, by which doubt is found
ENDPOINT = "endpoint"  # the last word of its key
EVENT_KINDS = {"failure_events": "failures", "truth_events": "truth"}  # tables of events, and where these land


@dataclass(frozen=True)
class StaleRows:
    """Days of one region whose rows are to be made again.

    Attributes:
        raw: days whose drops changed, or were all withdrawn.
        validated: these, and days whose raw rows are others than those last judged.
        content: what the landed days of `raw_telemetry` would be made from now.
    """

    raw: frozenset[date]
    validated: frozenset[date]
    content: Mapping[date, str]


@dataclass(frozen=True)
class Books:
    """What was made, held against what there is.

    Attributes:
        instance: whose event log says what was made from what.
        graph: of the assets.
        home: where the fleet lies.
    """

    instance: dg.DagsterInstance
    graph: BaseAssetGraph
    home: Path

    @property
    def landing(self) -> LandingZone:
        """The home's landing zone."""
        return LandingZone(self.home / "landing")

    def landed(self, region: Region) -> list[date]:
        """Days on which something landed and that are partitions, in order."""
        return [day for day in self.landing.days(region.name) if self._is_partition(region, day)]

    @property
    def is_empty(self) -> bool:
        """Whether no rows ever landed: there is nothing to make anything from, and nothing was made."""
        return not any(
            self.landed(region) or days_made(self.instance, regional_key(region, "raw_telemetry")) for region in REGIONS
        )

    def stale_rows(self, region: Region) -> StaleRows:
        """The days whose drops or raw rows are not those that their rows were made from."""
        raw_key, key = regional_key(region, "raw_telemetry"), regional_key(region, "validated_telemetry")
        landed = self.landed(region)
        content = {day: fingerprint(self._code(raw_key), self.landing.fingerprint(region.name, day)) for day in landed}
        raw_made, made = self._made(raw_key), self._made(key)
        refused = days_refused(self.instance, key, CONTRACT_CHECK)
        doubt = self._doubt(region, raw_made)
        raw = {day for day in landed if _inputs(raw_made, day) != content[day]}
        raw |= self._left_over(region, raw_made, [RAW_TELEMETRY], but=landed)
        judged = {
            day
            for day in set(landed).intersection(raw_made)
            if judged_from(self._code(key), version_in(raw_made[day]), doubt.get(day))
            != refused.get(day, _inputs(made, day))
        }
        judged |= self._left_over(region, made, [VALIDATED_TELEMETRY, QUARANTINE, EARLY_TELEMETRY], but=landed)
        judged |= {day for day in set(refused).difference(landed) if self._is_partition(region, day)}
        return StaleRows(frozenset(raw), frozenset(raw | judged), content)

    def stale_features(self, region: Region, *, after: Collection[date] = ()) -> frozenset[date]:
        """The days whose windows reach rows, first cycles or regimes that their features were not made from.

        Args:
            region: whose features.
            after: days whose rows are about to change; the days that reach them are stale too.
        """
        key = regional_key(region, "window_features")
        made = self._made(key)
        reached = {day + timedelta(days=ahead) for day in after for ahead in range(REACH_DAYS + 1)}
        now = self._feature_inputs(region, code_version=self._code(key))
        changed = {day for day, inputs in now.items() if _inputs(made, day) != inputs}
        gone = self._left_over(region, made, [WINDOW_FEATURES], but=now)
        return frozenset((reached | changed).intersection({*self.landed(region), *after}) | gone)

    def stale_drift(self, region: Region, *, after: Collection[date] = ()) -> frozenset[date]:
        """The days whose drift was judged from other features, or against another reference, than there are now.

        Args:
            region: whose inputs are watched.
            after: days whose features are about to change; with one of the reference all later days are stale too.
        """
        key, first_day = regional_key(region, "input_drift"), settings().first_day
        features = self._made(regional_key(region, "window_features"))
        versions = {day: version_in(tags) for day, tags in features.items() if holds_rows(tags)}
        made = self._made(key)
        now = drift_inputs(versions, first_day=first_day, code_version=self._code(key))
        stale = {day for day, inputs in now.items() if _inputs(made, day) != inputs} | set(after)
        first, last = reference_span(first_day)
        if any(first <= day <= last for day in after):
            stale |= {day for day in versions if day > last}
        gone = self._left_over(region, made, [INPUT_DRIFT], but=now)
        return frozenset(stale.intersection({*self.landed(region), *after}) | gone)

    def _doubt(self, region: Region, raw_made: Mapping[date, Tags]) -> Mapping[date, str]:
        """What is in doubt on each day of the raw rows; read again only when one of their days was made anew.

        Nothing where their table is damaged: it is made again first, and the days in doubt are judged again then.
        """
        root = str(self.home / "tables" / region.name)
        versions = tuple((day, version_in(tags)) for day, tags in sorted(raw_made.items()))
        if not versions or TableStore(root).health(RAW_TELEMETRY.name).faults:
            return {}
        return _doubt_of(root, versions)

    def _left_over(
        self, region: Region, made: Mapping[date, Tags], contracts: Iterable[Contract], *, but: Collection[date]
    ) -> frozenset[date]:
        """Days that the event log or a table has rows of though nothing is there that these come from.

        Args:
            region: whose tables.
            made: the days of the asset as last materialised.
            contracts: the tables that the asset writes.
            but: the days that have what they are made from.
        """
        held = {day for day, tags in made.items() if holds_rows(tags)}
        held = held.union(*(self.kept.days_in(region.name, contract.name) for contract in contracts))
        return frozenset(day for day in held.difference(but) if self._is_partition(region, day))

    def stale_events(self, region: Region) -> dict[dg.AssetKey, str]:
        """The tables of events for which files came or went, each with what it would be made from now."""
        keys = [regional_key(region, name) for name in EVENT_KINDS]
        now = {key: self.inputs_of(key) for key in keys if self._has_events(key)}
        return {key: inputs for key, inputs in now.items() if self.inputs_made_from(key) != inputs}

    def stale_without_days(
        self, changing: Iterable[dg.AssetKey], *, leave: Collection[str], also: Collection[dg.AssetKey] = ()
    ) -> frozenset[dg.AssetKey]:
        """Assets without days that were made from other inputs than there are now, as far as these are settled.

        What comes after one of them is not among them unless it is stale itself: made again, its input may say the
        same as before, and whether it does is seen when it was. One that is stale and comes after another waits for it:
        made now, it would be a thing of half old and half new inputs. What was never made waits for nothing that is
        made beside it.

        Args:
            changing: assets with days of which some are made again beside these.
            leave: last words of the keys of those that are left as they are once they exist.
            also: assets to be made whatever their inputs are.
        """
        unsettled, waiting, found = set(changing), set[dg.AssetKey](), set[dg.AssetKey](also)
        for key in self.graph.toposorted_asset_keys:
            node = self.graph.get(key)
            if not node.is_executable or node.is_partitioned or key in found:
                continue
            made_from = self.inputs_made_from(key)
            if made_from is not None and key.path[-1] in leave and self._is_of_this_code(key):
                continue
            if made_from == self.inputs_of(key):
                continue
            awaited = waiting if made_from is None else unsettled
            unsettled.add(key)
            if awaited.isdisjoint(self._above(key)):
                found.add(key)
            else:
                waiting.add(key)
        return frozenset(found)

    def _is_of_this_code(self, key: dg.AssetKey) -> bool:
        """Whether an asset was made by the code there is now; one that does not record its code counts as if."""
        event = self.kept.event(key)
        code = ((event.tags or {}) if event is not None else {}).get(CODE_TAG)
        return code is None or code == self._code(key)

    def _above(self, key: dg.AssetKey) -> set[dg.AssetKey]:
        """What an asset comes from, near and far; not what an endpoint comes from, which serves whatever stirs."""
        above, left = set[dg.AssetKey](), [key]
        while left:
            for parent in self.graph.get(left.pop()).parent_keys:
                if parent not in above:
                    above.add(parent)
                    if parent.path[-1] != ENDPOINT:
                        left.append(parent)
        return above

    def inputs_made_from(self, key: dg.AssetKey) -> str | None:
        """The inputs an asset without days was last made from; None for one that was never made or that is lost."""
        event = self.kept.event(key)
        return (event.tags or {}).get(INPUTS_TAG) if event is not None else None

    @cached_property
    def kept(self) -> Kept:
        """What storage still holds; looked at once for these books."""
        return Kept(self.instance, self.graph, self.home)

    def _made(self, key: dg.AssetKey) -> dict[date, Tags]:
        """The days of an asset that are made and that storage still holds."""
        return self.kept.days(key)

    def inputs_of(self, key: dg.AssetKey) -> str:
        """What an asset without days would be made from now; files of the landing zone count by their content."""
        kind = EVENT_KINDS.get(key.path[-1])
        if kind is not None:
            return fingerprint(self._code(key), self.landing.events_fingerprint(key.path[0], kind))
        return inputs_now(self.instance, self.graph.get(key).parent_keys, code_version=self._code(key))

    def _feature_inputs(self, region: Region, *, code_version: str) -> dict[date, str]:
        """What each validated day's features would be made from now; regimes that are not there yet are none."""
        if self.kept.is_lost(global_key(REGIMES)):
            return {}  # they are found again first, and found again in the same rows they are what they were
        blobs = BlobStore(self.home / "blobs" / EAST.name)
        ref = blobs.resolve(REGIMES)
        version = OperatingRegimes.from_json(blobs.get(ref).decode()).version if ref is not None else ""
        tables = TableStore(str(self.home / "tables" / region.name))
        if any(tables.health(contract.name).faults for contract in (VALIDATED_TELEMETRY, EARLY_TELEMETRY)):
            return {}  # these rows are made again first; what their features depend on is known then
        rows = tables.read(VALIDATED_TELEMETRY, columns=["event_date", "unit", "row_hash"])
        early = tables.read(EARLY_TELEMETRY, columns=["unit", "row_hash"])
        return day_inputs(rows, early, regimes_version=version, reach_days=REACH_DAYS, code_version=code_version)

    def _has_events(self, key: dg.AssetKey) -> bool:
        """Whether the table of events was ever made, or something landed that it can be made from."""
        if self.instance.get_latest_materialization_event(key) is not None:
            return True
        region, kind = key.path[0], EVENT_KINDS[key.path[-1]]
        return bool(self.landing.read_events(region, kind).height or self.landing.event_faults(region, kind))

    def _is_partition(self, region: Region, day: date) -> bool:
        partitions = self.graph.get(regional_key(region, "raw_telemetry")).partitions_def
        return partitions is not None and partitions.has_partition_key(day.isoformat())

    def _code(self, key: dg.AssetKey) -> str:
        return self.graph.get(key).code_version or ""


def judged_from(code_version: str, raw_version: str, doubt: str | None) -> str:
    """The fingerprint of what a day of validated telemetry is made from.

    Args:
        code_version: of the code that judges.
        raw_version: the content of the day's raw rows.
        doubt: what of it other days have as well, None for nothing.
    """
    return fingerprint(code_version, raw_version, *([] if doubt is None else [doubt]))


@lru_cache(maxsize=32)
def _doubt_of(root: str, versions: tuple[tuple[date, str], ...]) -> Mapping[date, str]:
    """What is in doubt among the days of a region's raw telemetry; their versions name its content: it is read once."""
    days = [day for day, _ in versions]  # others are lost, and cannot be read
    return doubt_of_days(doubted_rows(TableStore(root), days=days))


def doubted_rows(tables: TableStore, *, days: Sequence[date] | None = None) -> pl.DataFrame:
    """Cycles of a region's raw telemetry that stand on more than one day, as `rows_in_doubt` returns them.

    Args:
        tables: of the region.
        days: those that are looked at; all by default.
    """
    rows = tables.scan(RAW_TELEMETRY).filter(keeps_its_rules(VALIDATED_TELEMETRY))
    if days is not None:
        rows = rows.filter(pl.col(DAY_COLUMN).is_in(days))
    return rows_in_doubt(rows.select(DOUBT_COLUMNS).collect(), key=VALIDATED_TELEMETRY.key)


def _inputs(made: Mapping[date, Tags], day: date) -> str | None:
    return made[day].get(INPUTS_TAG) if day in made else None
