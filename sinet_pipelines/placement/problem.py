"""A placement problem as plain values: assets with their options, the data between them, and the hard rules.

Everything is an integer, so that two programs that add the same figures get the same sum: micro-dollars, milliseconds,
milligrams, bytes, thousandths of a device. Nothing here solves a problem, and nothing here knows where it comes from.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sinet_pipelines.errors import PlacementInputError

GIB = 1024**3
RESERVED, SPOT = "reserved", "spot"


@dataclass(frozen=True)
class Option:
    """One way to run an asset: a region, a kind of hardware there, and a flavour.

    Attributes:
        region: its name.
        hardware: id of the kind.
        count: devices; 0 for `cpu`.
        flavour: `reserved` or `spot`.
        cost_microusd: expected cost of the step, with the work that interruptions repeat.
        duration_ms: expected duration, with the same.
        carbon_mg: expected carbon.
        wait_ms: expected time in the queue.
        power_w: power of the devices, with the site's PUE.
        milliunits: thousandths of devices, or of cores on `cpu`, that it uses.
        unit_microusd_per_hour: price of one device or core for an hour.
    """

    region: str
    hardware: str
    count: int
    flavour: str
    cost_microusd: int
    duration_ms: int
    carbon_mg: int = 0
    wait_ms: int = 0
    power_w: int = 0
    milliunits: int = 1000
    unit_microusd_per_hour: int = 0

    @property
    def name(self) -> str:
        """Its region, hardware and flavour: `EAST/nvidia-a100/spot`."""
        return f"{self.region}/{self.hardware}/{self.flavour}"

    @property
    def unit_ms(self) -> int:
        """Device time: milliseconds of one device or core."""
        return self.milliunits * self.duration_ms // 1000


@dataclass(frozen=True)
class Asset:
    """An asset to place.

    Attributes:
        name: its key.
        options: the options that capability and binding leave, in the order of preference among equals.
        bytes: size of its data, of which each region that reads it gets one copy.
        team: the team whose quotas it uses.
        latest_ms: the latest finish after the plan's start; None for any.
    """

    name: str
    options: tuple[Option, ...]
    bytes: int = 0
    team: str = ""
    latest_ms: int | None = None

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """The regions of its options, each once."""
        return tuple(dict.fromkeys(one.region for one in self.options))


@dataclass(frozen=True)
class Edge:
    """Data of one asset that another asset reads.

    Attributes:
        source: the asset whose data are read.
        target: the asset that reads them.
        forbidden: the rule against a pair of regions (of source and target), by the pair; others are allowed.
        is_order: whether the target starts after the source; false where data are sent to a running endpoint.
    """

    source: str
    target: str
    forbidden: Mapping[tuple[str, str], str] = field(default_factory=dict, hash=False)
    is_order: bool = True


@dataclass(frozen=True)
class Line:
    """The way of data from a region to another.

    Attributes:
        microusd_per_gib: price of egress.
        ms_per_gib: duration of a transfer.
        latency_ms: additional duration of each transfer.
    """

    microusd_per_gib: int
    ms_per_gib: int
    latency_ms: int


@dataclass(frozen=True)
class Quota:
    """The most device time of a kind that a team's assets may use in one plan.

    Attributes:
        team: the team.
        hardware: id of the kind.
        unit_ms: milliseconds of one device or core.
        region: name of the region; empty for all regions together.
    """

    team: str
    hardware: str
    unit_ms: int
    region: str = ""

    @property
    def name(self) -> str:
        """The rule as text."""
        where = f" in {self.region}" if self.region else ""
        return f"quota of {self.team} for {self.hardware}{where}: {self.unit_ms / 3_600_000:g} device hours"

    def counts(self, asset: Asset, option: Option) -> bool:
        """Whether an option of an asset uses this quota."""
        return asset.team == self.team and option.hardware == self.hardware and self.region in ("", option.region)


@dataclass(frozen=True)
class PowerCap:
    """The most power of a region's site, with its PUE, for all assets that can run at the same time."""

    region: str
    watts: int

    @property
    def name(self) -> str:
        """The rule as text."""
        return f"power cap of {self.region}: {self.watts / 1000:g} kW"


@dataclass(frozen=True)
class Problem:
    """Assets, the data between them, lines between regions, and hard rules.

    Attributes:
        assets: each with at least one option.
        edges: between these assets.
        lines: by (from, to); a pair that is missing cannot be used.
        quotas: by team and kind.
        power_caps: by region, each region once.
    """

    assets: tuple[Asset, ...]
    edges: tuple[Edge, ...] = ()
    lines: Mapping[tuple[str, str], Line] = field(default_factory=dict, hash=False)
    quotas: tuple[Quota, ...] = ()
    power_caps: tuple[PowerCap, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Asset]:
        """The assets by their names."""
        return {one.name: one for one in self.assets}

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[Edge, ...]]:
        """The edges of each source."""
        return _grouped(self.edges, [one.name for one in self.assets], "source")

    @cached_property
    def incoming(self) -> Mapping[str, tuple[Edge, ...]]:
        """The edges of each target."""
        return _grouped(self.edges, [one.name for one in self.assets], "target")

    @cached_property
    def ordered(self) -> tuple[Asset, ...]:
        """The assets, each after those it starts after.

        Raises:
            PlacementInputError: they form a cycle.
        """
        return tuple(self.by_name[name] for name in _topological(self))

    @property
    def has_joint_rules(self) -> bool:
        """Whether a rule binds several assets together beside residency: a quota, a deadline or a power cap."""
        return bool(self.quotas or self.power_caps or any(one.latest_ms is not None for one in self.assets))

    def copy_microusd(self, source: Asset, origin: str, target: str) -> int:
        """The price of one copy of an asset's data from a region to another; 0 within a region."""
        if origin == target or not source.bytes:
            return 0
        return -(-source.bytes * self.line(origin, target).microusd_per_gib // GIB)

    def copy_ms(self, source: Asset, origin: str, target: str) -> int:
        """The duration of one copy; 0 within a region."""
        if origin == target:
            return 0
        line = self.line(origin, target)
        return line.latency_ms - (-source.bytes * line.ms_per_gib // GIB)

    def line(self, origin: str, target: str) -> Line:
        """The line between two regions.

        Raises:
            PlacementInputError: there is none.
        """
        if (origin, target) not in self.lines:
            raise PlacementInputError(f"no line from {origin} to {target}; add its price and bandwidth")
        return self.lines[origin, target]


def require_sound(problem: Problem) -> None:
    """Checks a problem: names, figures, edges and their order.

    Raises:
        PlacementInputError: a name is there twice or is unknown, a figure is negative, an asset has no option, or the
            assets form a cycle.
    """
    counts = Counter(one.name for one in problem.assets)
    if twice := next((name for name, count in counts.items() if count > 1), ""):
        raise PlacementInputError(f"two assets are called {twice}; rename one")
    for asset in problem.assets:
        if not asset.options:
            raise PlacementInputError(f"{asset.name} has no option; leave it out of the problem, with the reason")
        for option in asset.options:
            _require_figures(asset, option)
    for line in problem.lines.values():
        if min(line.microusd_per_gib, line.ms_per_gib, line.latency_ms) < 0:
            raise PlacementInputError(f"a line has a negative price or duration ({line}); give 0 or more")
    for edge in problem.edges:
        if unknown := {edge.source, edge.target}.difference(problem.by_name):
            raise PlacementInputError(f"an edge names {sorted(unknown)[0]}, which is no asset; add it or drop the edge")
        if edge.source == edge.target:
            raise PlacementInputError(f"{edge.source} reads itself; drop the edge")
    for quota in problem.quotas:
        if quota.unit_ms < 0:
            raise PlacementInputError(f"{quota.name} is negative; give 0 or more")
    if problem.assets:
        _ = problem.ordered


def _require_figures(asset: Asset, option: Option) -> None:
    figures = {
        "price": option.cost_microusd,
        "duration": option.duration_ms,
        "carbon": option.carbon_mg,
        "wait": option.wait_ms,
        "power": option.power_w,
        "devices": option.milliunits,
        "size": asset.bytes,
    }
    for what, value in figures.items():
        if type(value) is not int or value < 0:
            found = f"the {what} of {asset.name} on {option.name} is {value!r}"
            raise PlacementInputError(f"{found}; allowed is a whole number of 0 or more")


def _grouped(edges: Iterable[Edge], names: Iterable[str], end: str) -> dict[str, tuple[Edge, ...]]:
    found: dict[str, list[Edge]] = {name: [] for name in names}
    for edge in edges:
        found[getattr(edge, end)].append(edge)
    return {name: tuple(ones) for name, ones in found.items()}


def _topological(problem: Problem) -> list[str]:
    missing = {name: len({e.source for e in edges if e.is_order}) for name, edges in problem.incoming.items()}
    ready = [name for name, count in missing.items() if not count]
    order: list[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for target in dict.fromkeys(edge.target for edge in problem.outgoing[name] if edge.is_order):
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(order) < len(missing):
        rest = sorted(name for name, count in missing.items() if count)
        raise PlacementInputError(f"{', '.join(rest[:5])} wait for each other in a cycle; remove one of their edges")
    return order


def microusd(usd: float) -> int:
    """Dollars as whole micro-dollars.

    Raises:
        PlacementInputError: negative, infinite or not a number.

    >>> microusd(0.04)
    40000
    """
    if not (math.isfinite(usd) and usd >= 0):
        raise PlacementInputError(f"a price is {usd!r}; allowed is a number of 0 or more, in USD")
    return round(usd * 1_000_000)
