"""EAST, WEST and NULL_ISLAND as rows: role, hardware on site, storage, links, cluster, and what may leave.

A region is a row here or an entry in `registry.yaml`; partitions, resources, assets and tests follow from it. Prices,
bandwidths and carbon are planning figures and marked so: no such number of these sites is published.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from sinet_pipelines.errors import RegistryError, UnknownRegionError
from sinet_pipelines.figures import Figure, Hourly, assumed
from sinet_pipelines.hardware import Hardware, read_hardware
from sinet_pipelines.registry_file import registry_path, told_in, with_entries
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.sites import Agreement, Cluster, Link, Serving, ServingTarget, StorageTier, TierKind

_NAME = re.compile("[A-Z_][A-Z0-9_]{0,39}")  # a name is part of keys, folders, labels and resources
_NEVER_LEAVE = (DataClass.RAW, DataClass.PERSONAL)
_LIST = "near public list prices of 2025, rounded; no price of this site"
_WORLD = Hourly(
    (470.0,) * 24, "the world's mean in 2024 was told as about 470 g a kWh, at any hour", is_assumption=True
)
_FILES = StorageTier(
    TierKind.PARALLEL_FILES,
    "sinet-files",
    assumed(2.0, "what one client reads of a small file system"),
    assumed(0.14, f"a managed parallel file system; {_LIST}"),
    mount_path="/mnt/sinet",
)


@dataclass(frozen=True)
class Region:
    """A region and what is bound to it.

    Attributes:
        name: as it is spelled in tables, keys and JSON.
        role: what the region is for.
        hardware: ids of the kinds on site, in the order of preference.
        agreements: what sequences may leave.
        cluster: where its steps run.
        sites: the halls it stands in.
        accepts: data classes that may come in from other regions.
        storage: its tiers, the first is the one that tables lie on.
        links: the ways to other regions.
        carbon_g_per_kwh: of its grid, by hour of the day (UTC).
        pue: power usage effectiveness: power of the site for one watt of computing.
        fabric: what connects its nodes.
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
    links: tuple[Link, ...] = field(default=(), kw_only=True)
    carbon_g_per_kwh: Hourly = field(default=_WORLD, kw_only=True)
    pue: Figure = field(default=assumed(1.5, "a plain hall with chillers"), kw_only=True)
    fabric: str = field(default="Ethernet", kw_only=True)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RegistryError(
                f"a region is called {self.name[:80]!r}; names are capitals (A-Z), digits and _, as NULL_ISLAND, "
                "at most 40 characters"
            )
        if never := set(self.accepts).intersection(_NEVER_LEAVE):
            raise RegistryError(f"{self.name} accepts {', '.join(sorted(never))}, which never leaves its region")
        if not self.hardware:
            raise RegistryError(f"{self.name} has no hardware; every region has at least cpu")

    @property
    def key(self) -> str:
        """The region's name as a resource key and folder-safe word: `null_island`."""
        return self.name.lower()

    def tier(self, kind: TierKind) -> StorageTier | None:
        """The region's storage of this kind, if it has one."""
        return next((tier for tier in self.storage if tier.kind is kind), None)

    def link(self, to: str) -> Link:
        """The way to another region; where no row tells of it, a plain one over public lines."""
        return next((link for link in self.links if link.to == to), Link(to, *_PUBLIC_LINE))


_PUBLIC_LINE = (
    assumed(0.09, f"egress to the open network; {_LIST}"),
    assumed(1.0, "a site's share of a public line"),
    assumed(100.0, "between continents"),
)
_UNTIL = date(2028, 12, 31)  # shipped policies run out on purpose: somebody must look at them again
_AGREEMENTS = (
    Agreement("evaluation_sequences", "EAST", "training", _UNTIL),
    Agreement("evaluation_sequences", "WEST", "calibration", _UNTIL),
    Agreement("evaluation_sequences", "NULL_ISLAND", "experiments", _UNTIL),
    Agreement("training_sequences", "EAST", "training", _UNTIL),
    Agreement("calibration_sequences", "WEST", "calibration", _UNTIL),
    Agreement("training_sequences", "NULL_ISLAND", "experiments", _UNTIL),
    Agreement("live_sequences", "WEST", "inference", _UNTIL),
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


# Shapes of a day (UTC) and no measurements of a grid: gas and coal with some sun; much sun; an island's diesel and sun.
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
        pue=assumed(1.2, "a hall built for accelerators, with warm water"),
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
        pue=assumed(1.3, "a hall for servers, cooled with outside air"),
        fabric="Ethernet RoCE 100 Gbit/s",
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
class Registry:
    """The rows of a process: its regions and the kinds of hardware they have."""

    regions: tuple[Region, ...]
    hardware: tuple[Hardware, ...]


def read_registry(path: Path | None) -> Registry:
    """The rows of this house with what a registry file changes and adds, and every name in them known.

    Args:
        path: of the file; None for none.

    Raises:
        RegistryError: an entry that cannot be, with its line; or a row that names what no row is.
    """
    rows = Registry(with_entries(_SHIPPED, "regions", by="name", path=path), read_hardware(path))
    names, kinds = [region.name for region in rows.regions], [row.id for row in rows.hardware]
    for region in rows.regions:
        for what, said, known in (
            ("hardware", region.hardware, kinds),
            ("an agreement with", [one.to for one in region.agreements], names),
            ("a link to", [link.to for link in region.links], names),
        ):
            if unknown := sorted(set(said).difference(known)):
                where = told_in(path, "regions", region.name, by="name") or "regions.py"
                found = f"{region.name} has {what} {', '.join(unknown)}, which no row is"
                raise RegistryError(f"{where}: {found} (known: {', '.join(known)}); mend the name or add the row")
        if "cpu" not in region.hardware:
            where = told_in(path, "regions", region.name, by="name") or "regions.py"
            raise RegistryError(f"{where}: {region.name} has no cpu ({', '.join(region.hardware)}); add it")
    return rows


READ_FROM = registry_path()  # the file that this process's rows were read with; None for none
REGIONS: tuple[Region, ...] = read_registry(READ_FROM).regions


def get_region(name: str) -> Region:
    """The region of this name.

    Raises:
        UnknownRegionError: no region has this name.

    >>> get_region("WEST").key
    'west'
    """
    for region in REGIONS:
        if region.name == name:
            return region
    known = ", ".join(region.name for region in REGIONS)
    raise UnknownRegionError(
        f"no region {name!r} (known: {known}); add a row to regions.py or an entry to registry.yaml"
    )


EAST, WEST, NULL_ISLAND = (get_region(name) for name in ("EAST", "WEST", "NULL_ISLAND"))
