"""EAST, WEST and NULL_ISLAND as rows: role, hardware on site, storage, links, cluster, and agreements.

A region is a row here or an entry in `inventory.yaml`; partitions, resources, assets and tests are derived from it.
Prices, bandwidths and carbon are marked as assumptions, since no numbers of these sites are published.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path

from sinet_pipelines.errors import InventoryError, UnknownRegionError
from sinet_pipelines.inventory.dask import DaskCluster, DaskPlace, require_own_schedulers
from sinet_pipelines.inventory.figures import Figure, Hourly, assumed
from sinet_pipelines.inventory.file import DERIVED, inventory_path, line_of, with_entries
from sinet_pipelines.inventory.hardware import Hardware, kind_of, read_hardware
from sinet_pipelines.inventory.online_stores import OnlineStore
from sinet_pipelines.inventory.roots import Root, require_apart
from sinet_pipelines.inventory.sites import (
    Agreement,
    Cluster,
    Link,
    Serving,
    ServingTarget,
    StorageTier,
    TeamQuota,
    TierKind,
)
from sinet_pipelines.inventory.streams import Stream, require_distinct
from sinet_pipelines.inventory.time_series import TimeSeries
from sinet_pipelines.schemas.contract import DataClass

_NAME = re.compile("[A-Z_][A-Z0-9_]{0,39}")  # a name is part of keys, folders, labels and resources
_NEVER_LEAVE = (DataClass.RAW, DataClass.PERSONAL)
_LIST = "near public list prices of 2025, rounded; no price of this site"
_WORLD = Hourly((470.0,) * 24, "about the world's mean of 2024, at any hour", is_assumption=True)
_FILES = StorageTier(
    TierKind.PARALLEL_FILES,
    "sinet-files",
    assumed(2.0, "what one client reads of a small file system"),
    assumed(0.14, f"a managed parallel file system; {_LIST}"),
    mount_path="/mnt/sinet",
)


@dataclass(frozen=True)
class Region:
    """A region and everything that is bound to it.

    Attributes:
        name: spelling in tables, keys and JSON.
        role: purpose of the region.
        hardware: ids of the kinds on site, in the order of preference.
        agreements: sequences that may leave the region.
        cluster: the cluster of its steps.
        sites: its data centres.
        accepts: data classes that may enter from other regions.
        storage: its storage tiers; tables are on the first.
        root: place of its data; None for its own folder in the home.
        links: links to other regions.
        streams: the streams that its cluster reads from brokers.
        dask: the workers that compute features of its telemetry; None where each step computes them itself.
        time_series: the time-series store that gets rows of its tables; None for none.
        online_store: the store of its replica of the newest features.
        carbon_g_per_kwh: carbon intensity of its grid, by hour of the day (UTC).
        pue: power usage effectiveness: power of the site for one watt of computing.
        fabric: network between its nodes.
        power_cap_kw: the most power of the site for steps, with its PUE; None for any.
        team_quotas: how much of a kind each team may use; a team without one may use any amount.
        stands_in_for: regions whose assets without a region in their key it takes over when these are lost.
        catalogue: all kinds of hardware of the inventory; `read_inventory` fills it in.
    """

    name: str
    role: str
    hardware: tuple[str, ...]
    agreements: tuple[Agreement, ...] = ()
    cluster: Cluster = field(kw_only=True)
    sites: tuple[str, ...] = field(default=(), kw_only=True)
    accepts: tuple[DataClass, ...] = field(
        default=(DataClass.SEQUENCE, DataClass.FEATURE, DataClass.MODEL), kw_only=True
    )
    storage: tuple[StorageTier, ...] = field(default=(_FILES,), kw_only=True)
    root: Root | None = field(default=None, kw_only=True)
    links: tuple[Link, ...] = field(default=(), kw_only=True)
    streams: tuple[Stream, ...] = field(default=(), kw_only=True)
    dask: DaskCluster | None = field(default=None, kw_only=True)
    time_series: TimeSeries | None = field(default=None, kw_only=True)
    online_store: OnlineStore = field(default=OnlineStore(), kw_only=True)
    carbon_g_per_kwh: Hourly = field(default=_WORLD, kw_only=True)
    pue: Figure = field(default=assumed(1.5, "a plain data centre with chillers"), kw_only=True)
    fabric: str = field(default="Ethernet", kw_only=True)
    power_cap_kw: Figure | None = field(default=None, kw_only=True)
    team_quotas: tuple[TeamQuota, ...] = field(default=(), kw_only=True)
    stands_in_for: tuple[str, ...] = field(default=(), kw_only=True)
    catalogue: tuple[Hardware, ...] = field(default=(), kw_only=True, repr=False, compare=False, metadata=DERIVED)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InventoryError(
                f"a region is called {self.name[:80]!r}; names are capitals (A-Z), digits and _, as NULL_ISLAND, "
                "at most 40 characters"
            )
        if never := set(self.accepts).intersection(_NEVER_LEAVE):
            raise InventoryError(f"{self.name} accepts {', '.join(sorted(never))}, which never leaves its region")
        if not self.hardware:
            raise InventoryError(f"{self.name} has no hardware; every region has at least cpu")
        require_distinct(self.name, self.streams)

    @property
    def key(self) -> str:
        """The region's name in lower case, for resource keys and folders: `null_island`."""
        return self.name.lower()

    @property
    def kinds(self) -> tuple[Hardware, ...]:
        """The kinds of hardware on site, in the order of preference."""
        return tuple(self.kind(hardware_id) for hardware_id in self.hardware)

    def kind(self, hardware_id: str) -> Hardware:
        """The kind of hardware with this id, on site or not.

        Raises:
            UnknownHardwareError: the inventory has no such kind.
        """
        return kind_of(self.catalogue, hardware_id)

    def tier(self, kind: TierKind) -> StorageTier | None:
        """The region's storage of this kind, if it has one."""
        return next((tier for tier in self.storage if tier.kind is kind), None)

    def link(self, to: str) -> Link:
        """The link to another region; by default one over public lines."""
        return next((link for link in self.links if link.to == to), Link(to, *_PUBLIC_LINE))


_PUBLIC_LINE = (
    assumed(0.09, f"egress to the open network; {_LIST}"),
    assumed(1.0, "a site's share of a public line"),
    assumed(100.0, "between continents"),
)
_UNTIL = date(2028, 12, 31)  # shipped policies expire, so that they are reviewed
_AGREEMENTS = (
    Agreement("evaluation_sequences", "EAST", "training", _UNTIL),
    Agreement("evaluation_sequences", "WEST", "calibration", _UNTIL),
    Agreement("evaluation_sequences", "NULL_ISLAND", "experiments", _UNTIL),
    Agreement("training_sequences", "EAST", "training", _UNTIL),
    Agreement("calibration_sequences", "WEST", "calibration", _UNTIL),
    Agreement("training_sequences", "NULL_ISLAND", "experiments", _UNTIL),
    Agreement("live_sequences", "WEST", "inference", _UNTIL),
    Agreement("evaluation_records", "EAST", "training", _UNTIL),
    Agreement("evaluation_records", "WEST", "calibration", _UNTIL),
    Agreement("live_records", "WEST", "inference", _UNTIL),
)


def _tiers(region: str, *, files_gib_per_s: float, nvme_gib_per_s: float) -> tuple[StorageTier, ...]:
    return (
        replace(
            _FILES, read_gib_per_s=assumed(files_gib_per_s, "what one client reads of such a file system, by its size")
        ),
        StorageTier(
            TierKind.LOCAL_NVME,
            "local-nvme",
            assumed(nvme_gib_per_s, "one or two data-centre disks"),
            assumed(0.0, "comes with the node"),
            mount_path="/scratch",
        ),
        StorageTier(
            TierKind.OBJECT_STORE,
            f"https://objects.{region}.sinet.internal",
            assumed(0.6, "one client with parallel parts"),
            assumed(0.023, _LIST),
            secret="sinet-objects",  # noqa: S106 - the name of a secret, no secret
        ),
    )


def _link(to: str, usd_per_gib: float, gbit_per_s: float, latency_ms: float) -> Link:
    return Link(
        to,
        assumed(usd_per_gib, f"between two of one provider's regions; {_LIST}"),
        assumed(gbit_per_s, "a site's share of a private line"),
        assumed(latency_ms, "by the distance"),
    )


def _grid(values: tuple[float, ...], why: str) -> Hourly:
    return Hourly(values, why, is_assumption=True)


# Assumed daily profiles (UTC), not measured: gas and coal with some solar; much solar; an island's diesel and solar.
_MIXED: tuple[float, ...] = (410.0,) * 5 + (405.0, 400.0, 395.0, 390.0, 385.0, 380.0, 380.0)
_MIXED += (370.0, 350.0, 330.0, 315.0, 305.0, 300.0, 305.0, 325.0, 355.0, 385.0, 405.0, 410.0)
_SUNNY: tuple[float, ...] = (160.0, 230.0, 290.0, 320.0, 330.0, 330.0, 325.0, 320.0, 315.0, 310.0, 310.0, 310.0)
_SUNNY += (305.0, 290.0, 250.0, 190.0, 140.0, 115.0, 105.0, 100.0, 100.0, 105.0, 115.0, 130.0)
_ISLAND: tuple[float, ...] = (640.0,) * 6 + (600.0, 540.0, 480.0, 430.0, 400.0, 385.0)
_ISLAND += (380.0, 385.0, 400.0, 430.0, 490.0, 560.0, 610.0, 640.0, 650.0, 650.0, 645.0, 640.0)

_SHIPPED: tuple[Region, ...] = (
    Region(
        "EAST",
        "primary training hub, master registry, experiment tracking",
        ("nvidia-h100", "nvidia-a100", "amd-mi250", "tpu-v4", "cerebras-cs2", "cpu"),
        _AGREEMENTS,
        cluster=Cluster("east", runs_dagster=True, node_labels={"topology.kubernetes.io/region": "east"}),
        sites=("east-1", "east-2"),
        storage=_tiers("east", files_gib_per_s=8, nvme_gib_per_s=6),
        links=(_link("WEST", 0.02, 10, 65), _link("NULL_ISLAND", 0.05, 2, 95)),
        carbon_g_per_kwh=_grid(_MIXED, "a grid of gas and coal with some sun, at the longitude of New York"),
        pue=assumed(1.2, "a data centre built for accelerators, cooled with warm water"),
        fabric="InfiniBand NDR 400 Gbit/s",
    ),
    Region(
        "WEST",
        "inference, quantization and pruning, edge and OTA; backup training and disaster recovery for EAST",
        ("nvidia-t4", "nvidia-a10", "tpu-v4", "nvidia-a100", "cpu"),
        _AGREEMENTS,
        cluster=Cluster(
            "west",
            node_labels={"topology.kubernetes.io/region": "west"},
            serving=Serving(target=ServingTarget.DEPLOYMENT),
        ),
        sites=("west-1",),
        storage=_tiers("west", files_gib_per_s=4, nvme_gib_per_s=3),
        links=(_link("EAST", 0.02, 10, 65), _link("NULL_ISLAND", 0.06, 1, 150)),
        carbon_g_per_kwh=_grid(_SUNNY, "a grid with much sun, at the longitude of Los Angeles"),
        pue=assumed(1.3, "a data centre for servers, cooled with outside air"),
        fabric="Ethernet RoCE 100 Gbit/s",
        stands_in_for=("EAST",),
    ),
    Region(
        "NULL_ISLAND",
        "experiments: quantum simulation, spiking networks, reinforcement learning, new architectures",
        ("fpga", "graphcore-ipu", "neuromorphic", "cpu"),
        _AGREEMENTS,
        cluster=Cluster(
            "null-island",
            node_labels={"topology.kubernetes.io/region": "null-island"},
            node_cpu_millicores=32_000,
            node_memory_mib=256 * 1024,
        ),
        sites=("null-island-1",),
        storage=_tiers("null-island", files_gib_per_s=2, nvme_gib_per_s=3),
        links=(_link("EAST", 0.05, 2, 95), _link("WEST", 0.06, 1, 150)),
        carbon_g_per_kwh=_grid(_ISLAND, "an island of diesel and sun, at the longitude of Greenwich"),
        pue=assumed(1.6, "a testbed in a warm and humid place"),
        fabric="Ethernet 25 Gbit/s",
    ),
)


@dataclass(frozen=True)
class Inventory:
    """The regions of a deployment and the kinds of hardware they have."""

    regions: tuple[Region, ...]
    hardware: tuple[Hardware, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the regions."""
        return tuple(region.name for region in self.regions)

    def region(self, name: str) -> Region:
        """The region of this name.

        Raises:
            UnknownRegionError: no region has this name.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise UnknownRegionError(f"no region {name!r} (known: {', '.join(self.names)}); add it to inventory.yaml")

    def kind(self, hardware_id: str) -> Hardware:
        """The kind of hardware with this id.

        Raises:
            UnknownHardwareError: no kind has this id.
        """
        return kind_of(self.hardware, hardware_id)


def read_inventory(path: Path | None) -> Inventory:
    """The default regions and hardware, changed and extended by an inventory file; every name in them is checked.

    Args:
        path: path of the file; None for no file.

    Raises:
        InventoryError: an entry is invalid (the message has its line), or a row refers to a name that does not exist.
    """
    hardware = read_hardware(path)
    regions = with_entries(_SHIPPED, "regions", by="name", path=path)
    rows = Inventory(tuple(replace(region, catalogue=hardware) for region in regions), hardware)
    names, kinds = [region.name for region in rows.regions], [row.id for row in rows.hardware]
    for region in rows.regions:
        for what, named, known in (
            ("hardware", region.hardware, kinds),
            ("an agreement with", [one.to for one in region.agreements], names),
            ("a link to", [link.to for link in region.links], names),
            ("a time-series store in", _regions_of_store(region), names),
            ("a quota of", [one.hardware for one in region.team_quotas], kinds),
            ("stands_in_for", region.stands_in_for, names),
        ):
            if unknown := sorted(set(named).difference(known)):
                where = line_of(path, "regions", region.name, by="name") or "inventory/regions.py"
                found = f"{region.name} has {what} {', '.join(unknown)}, which no row is"
                raise InventoryError(f"{where}: {found} (known: {', '.join(known)}); mend the name or add the row")
        if "cpu" not in region.hardware:
            where = line_of(path, "regions", region.name, by="name") or "inventory/regions.py"
            raise InventoryError(f"{where}: {region.name} has no cpu ({', '.join(region.hardware)}); add it")
    require_apart({region.name: region.root for region in rows.regions if region.root is not None})
    require_own_schedulers(
        {one.name: DaskPlace(one.dask, one.cluster.kubeconfig_context, one.cluster.namespace) for one in rows.regions}
    )
    return rows


def _regions_of_store(region: Region) -> list[str]:
    return [region.time_series.in_region] if region.time_series is not None and region.time_series.in_region else []


def this_inventory() -> Inventory:
    """The inventory that the environment of this process names; for entry points alone.

    Its file is read again when it changes or when the environment names another one.

    Raises:
        InventoryError: as in `inventory_path` and `read_inventory`.
    """
    path = inventory_path()
    if path is None:
        return _read_once(None)
    found = path.stat()
    return _read_once(path, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=2)
def _read_once(path: Path | None, *_state: int) -> Inventory:
    return read_inventory(path)
