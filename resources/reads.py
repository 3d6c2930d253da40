"""Counts what a step reads from other regions and sends there, and rejects what its edges do not declare.

A region's resource returns its tables, blobs and drops. Within a step of another region they count rows and bytes here.
Data that no edge of the step declares is rejected when it arrives, so nothing is made from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
import polars as pl

from resources.deployment import RESOURCE, Deployment
from resources.markdown import shown
from resources.materializations.versions import version_of
from resources.placement import REGION_TAG
from resources.residency import edges_into, places_in, today
from resources.writes import WRITES_ENTRY, StepWrites
from sinet_pipelines.applications.application import parse_key
from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.large_days import LargeDay
from sinet_pipelines.ingestion.raw_day import RawDay
from sinet_pipelines.markdown import table
from sinet_pipelines.placement.residency import Crossing, require_allowed
from sinet_pipelines.schemas.arrival import table_beside
from sinet_pipelines.schemas.contract import AnyTable, Contract
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.tables import TableStore

BLOBS = "blobs"  # stands for all blobs: models and regimes, whose names do not distinguish them
LANDING = "landing_zone"
Seen = Callable[[str, int, int], None]


@dataclass
class Amount:
    """Rows and bytes that came from one table."""

    rows: int = 0
    size: int = 0


@dataclass
class StepReads:
    """What one step reads from other regions.

    Attributes:
        step: the keys of its assets as text.
        region: where it runs.
        edges: edges on which it receives its upstreams.
        own: (region, table) of the tables it makes, which it may read wherever it was moved.
        amounts: rows and bytes read so far, by (region, table).
        sent: rows and bytes sent to a server so far, by (region, table).
        writes: blobs, refs and versions written so far.
        upstream: version of each upstream of its assets without days at the start of the step.
    """

    step: str
    region: str
    edges: tuple[Crossing, ...]
    own: frozenset[tuple[str, str]]
    amounts: dict[tuple[str, str], Amount] = field(default_factory=dict)
    sent: dict[tuple[str, str], Amount] = field(default_factory=dict)
    writes: StepWrites = field(default_factory=StepWrites)
    upstream: Mapping[dg.AssetKey, str] = field(default_factory=dict)

    def seen(self, source: str, table: str, rows: int, size: int) -> None:
        """Counts rows and bytes that were read.

        Raises:
            ResidencyError: no edge of the step declares it.
        """
        amount = self.amounts.setdefault((source, table), Amount())
        amount.rows += rows
        amount.size += size
        if size and not self._declares(source, table):
            declared = sorted({f"{edge.table} of {edge.source}" for edge in self.edges if edge.source != self.region})
            raise ResidencyError(
                f"{self.step} runs in {self.region} and read {amount.size} bytes ({amount.rows} rows) of {table} from "
                f"{source}, which none of its edges declares (declared: {', '.join(declared) or 'nothing'}); make it "
                "depend on the asset of that table, or do not read it"
            )

    def require_edge_from(self, source: str) -> None:
        """Checks that the step may open the store of a region: its own, or one that an edge comes from.

        Raises:
            ResidencyError: it may not; it gets no credentials there.
        """
        sources = {self.region, *(edge.source for edge in self.edges), *(region for region, _ in self.own)}
        if source not in sources:
            raise ResidencyError(
                f"{self.step} runs in {self.region} and has no credentials at the store of {source}, from which none "
                f"of its edges comes (they come from: {', '.join(sorted(sources))}); make it depend on an asset there"
            )

    def sends(self, target: str, table: str, rows: pl.DataFrame) -> None:
        """Counts rows that are about to be sent to a server.

        Raises:
            ResidencyError: no edge of the step declares it; nothing was sent.
        """
        amount = self.sent.setdefault((target, table), Amount())
        amount.rows += rows.height
        amount.size += int(rows.estimated_size())
        if target != self.region and not any((e.target, e.table) == (target, table) for e in self.edges):
            raise ResidencyError(
                f"{self.step} runs in {self.region} and would send {amount.size} bytes ({amount.rows} rows) of {table} "
                f"to {target}, which none of its edges declares; make it depend on the endpoint there and on the asset "
                "of that table, or do not send it"
            )

    def _declares(self, source: str, table: str) -> bool:
        if table == BLOBS:
            return any(edge.source == source for edge in self.edges)
        table = table_beside(table)  # its arrivals and its history are of its class
        return (source, table) in self.own or any((e.source, e.table) == (source, table) for e in self.edges)


_READS: "WeakKeyDictionary[dg.OpExecutionContext, StepReads]" = WeakKeyDictionary()


def this_step() -> StepReads | None:
    """The reads of the step in progress; None outside a step, and in a step that is bound to no region.

    The first call in a step comes before its first read. It checks the edges again, since an agreement may have expired
    after the definitions were loaded. It also captures the versions of the upstreams, so that an upstream that changes
    during the step makes the result stale.

    Raises:
        ResidencyError: one of the step's edges is forbidden today.
    """
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None
    if context not in _READS:
        tags = context.op_def.tags
        if REGION_TAG not in tags:
            return None
        _READS[context] = _begin(context, getattr(context.resources, RESOURCE), tags[REGION_TAG])
    return _READS[context]


def step_application() -> str:
    """The application of the step in progress; empty outside a step, and in a step of no or several applications."""
    try:
        context = dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return ""
    keys = set(context.selected_asset_keys) or {check.asset_key for check in context.selected_asset_check_keys}
    names = {parse_key(key.path).application for key in keys}
    return names.pop() if len(names) == 1 else ""


def _begin(context: dg.OpExecutionContext, deployment: Deployment, bound_to: str) -> StepReads:
    region = deployment.settings.region or bound_to
    graph = context.job_def.asset_layer.asset_graph
    checked = {check.asset_key for check in context.selected_asset_check_keys}
    keys = set(context.selected_asset_keys) or checked
    made = places_in(graph, keys)
    if not context.selected_asset_keys:  # a check with its own step reads the asset and that asset's upstreams
        made = [replace(place, parents=(place.key, *place.parents)) for place in made]
    parents = {place.key: place for place in places_in(graph, {key for place in made for key in place.parents})}
    edges = tuple(edge for place in made for edge in edges_into(place, parents, at=region))
    require_allowed(edges, regions={one.name: one for one in deployment.regions}, day=today())
    name = ", ".join(sorted(key.to_user_string() for key in keys))
    nodes = [graph.get(key) for key in context.selected_asset_keys]
    upstream = {parent for node in nodes if not node.is_partitioned for parent in node.parent_keys}
    return StepReads(
        name,
        region,
        edges,
        own=frozenset((place.region, place.table) for place in made),
        upstream={key: version_of(context.instance, key) for key in upstream},
    )


def step_writes() -> dict[str, Any]:
    """Metadata of a materialisation: blobs and versions that the step in progress wrote; empty where there are none."""
    reads = this_step()
    wrote = reads.writes.as_json() if reads is not None else {}
    return {WRITES_ENTRY: dg.MetadataValue.json(wrote)} if wrote else {}


def travelled() -> dict[str, Any]:
    """Metadata: what the step in progress read from other regions and sent there; empty where there is nothing."""
    reads = this_step()
    if reads is None:
        return {}
    return {
        **_crossing_entries("bytes_from_other_regions", "read_from_other_regions", "from", reads.amounts),
        **_crossing_entries("bytes_to_other_regions", "sent_to_other_regions", "to", reads.sent, but=reads.region),
    }


def _crossing_entries(
    total: str, shown_as: str, way: str, amounts: Mapping[tuple[str, str], Amount], *, but: str = ""
) -> dict[str, Any]:
    crossing = sorted((key, amount) for key, amount in amounts.items() if amount.size and key[0] != but)
    if not crossing:
        return {}
    rows = ((name, region, amount.rows, amount.size) for (region, name), amount in crossing)
    return {
        total: sum(amount.size for _, amount in crossing),
        shown_as: shown(table(("table", way, "rows", "bytes"), rows, numeric=(2, 3))),
    }


@dataclass(frozen=True)
class WatchedTables(TableStore):
    """The tables of another region; reads are counted."""

    seen: Seen = field(kw_only=True)

    def scan(self, contract: Contract) -> pl.LazyFrame:
        """The table as a lazy frame that counts the rows and columns that are actually fetched."""
        # filters and columns are pushed below the count, which changes no row: only fetched rows are counted
        return (
            super()
            .scan(contract)
            .map_batches(
                partial(_counted, contract.name, self.seen),
                predicate_pushdown=True,
                projection_pushdown=True,
                slice_pushdown=True,
                validate_output_schema=False,
            )
        )

    def uri(self, table: AnyTable) -> str:
        """The table's URI; the caller can read the whole table, so the whole table counts."""
        rows, size = self.extent(table)
        self.seen(table.name, rows, size)
        return super().uri(table)


def _counted(table: str, seen: Seen, rows: pl.DataFrame) -> pl.DataFrame:
    seen(table, rows.height, int(rows.estimated_size()))
    return rows


@dataclass(frozen=True)
class WatchedBlobs(BlobStore):
    """The blobs of another region; reads are counted."""

    seen: Seen = field(kw_only=True)

    def get(self, name: str) -> bytes:
        """The bytes of this name."""
        content = super().get(name)
        self.seen(BLOBS, 0, len(content))
        return content


@dataclass(frozen=True)
class WatchedLanding(LandingZone):
    """The landing zones for a step of one region; reads of other regions' rows are counted and never declared."""

    reads: StepReads = field(kw_only=True)

    def read_day(self, region: str, day: Any) -> RawDay:
        """All rows of a region's day."""
        found = super().read_day(region, day)
        self._count(region, found.rows)
        return found

    def sort_day(self, region: str, day: Any, *, folder: Path | None, **how: Any) -> LargeDay:
        """All rows of a region's day, sorted on disk."""
        found = super().sort_day(region, day, folder=folder, **how)
        if region != self.reads.region:
            self.reads.seen(region, LANDING, found.sent, found.size)
        return found

    def read_events(self, region: str, kind: Any) -> pl.DataFrame:
        """All events of a region."""
        found = super().read_events(region, kind)
        self._count(region, found)
        return found

    def _count(self, region: str, rows: pl.DataFrame) -> None:
        if region != self.reads.region:
            self.reads.seen(region, LANDING, rows.height, int(rows.estimated_size()))
