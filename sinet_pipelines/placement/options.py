"""The options of one asset: every region and kind of the inventory, priced, or removed with the reason."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from sinet_pipelines.errors import NeedsError, PlacementInputError
from sinet_pipelines.inventory.figures import Figure
from sinet_pipelines.inventory.hardware import Hardware
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.placement.bindings import check_needs
from sinet_pipelines.placement.durations import MOST_INTERRUPTIONS, Gang, all_reduce_hours, on_spot, relative_speed
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.policies import MS_PER_HOUR
from sinet_pipelines.placement.problem import RESERVED, SPOT, Option, microusd
from sinet_pipelines.schemas.contract import DataClass


@dataclass(frozen=True)
class Work:
    """An asset's step, as its definition and past runs describe it.

    Attributes:
        asset: its key.
        region: the region that its definition binds it to.
        hardware: id of the kind that its definition binds it to.
        needs: of the step.
        hours: duration on the bound kind.
        hours_from: where the duration comes from.
        open_to: other places, as (region, hardware), that its definition leaves open.
        pinned_by: why it can go nowhere else.
        bytes: size of its data.
        bytes_from: where the size comes from.
        data_class: of its data.
        table: name of its table for agreements.
        gang: what its devices exchange, if several nodes share the step.
    """

    asset: str
    region: str
    hardware: str
    needs: Needs = field(default_factory=Needs)
    hours: float = 1.0
    hours_from: str = "needs.hours"
    open_to: tuple[tuple[str, str], ...] = ()
    pinned_by: str = "its definition binds it there"
    bytes: int = 0
    bytes_from: str = "default"
    data_class: DataClass = DataClass.FEATURE
    table: str = ""
    gang: Gang | None = None


@dataclass(frozen=True)
class Removed:
    """A place, or one flavour there, that a hard rule removes.

    Attributes:
        region: its name.
        hardware: id of the kind.
        rule: the kind of rule: `left out`, `residency`, `needs`, `binding`, `quota`, `money`.
        reason: the rule in words.
        flavour: `reserved` or `spot`; empty for both.
    """

    region: str
    hardware: str
    rule: str
    reason: str
    flavour: str = ""


def options_of(
    work: Work,
    regions: Sequence[Region],
    *,
    without: Collection[str] = (),
    waits_s: Mapping[tuple[str, str], float] | None = None,
) -> tuple[list[Option], list[Removed]]:
    """The options of a step, its bound place first, and the places that a rule removes.

    Args:
        work: the step.
        regions: of the inventory.
        without: regions, or places as `EAST/nvidia-a100`, where nothing is put.
        waits_s: expected wait in the queue of a place, seconds; 0 by default.
    """
    options: list[Option] = []
    removed: list[Removed] = []
    allowed = [(work.region, work.hardware), *work.open_to]
    bound = next((kind for one in regions for kind in one.catalogue if kind.id == work.hardware), None)
    for region in regions:
        for kind in region.kinds:
            place = region.name, kind.id
            why = _against(work, region, kind, allowed, without)
            if why is not None:
                removed.append(Removed(*place, *why))
                continue
            wait_ms = round(1000 * (waits_s or {}).get(place, 0.0))
            try:
                found, dear = _flavours(work, region, kind, bound or kind, wait_ms)
            except PlacementInputError as error:
                removed.append(Removed(*place, "needs", str(error).partition("; ")[0]))
                continue
            options += found
            removed += dear
    options.sort(key=lambda one: allowed.index((one.region, one.hardware)))
    return options, removed


def _against(
    work: Work, region: Region, kind: Hardware, allowed: Sequence[tuple[str, str]], without: Collection[str]
) -> tuple[str, str] | None:
    """The rule against a place and its words; None for an allowed place."""
    for left_out in (region.name, f"{region.name}/{kind.id}"):
        if left_out in without:
            return "left out", f"{left_out} is left out"
    if (region.name, kind.id) not in allowed and region.name not in {name for name, _ in allowed}:
        return "binding", f"{work.pinned_by}; it may not move to {region.name}"
    is_bound = (region.name, kind.id) in allowed
    is_wide = not kind.is_cpu and work.gang is not None and work.needs.count > kind.devices_per_node
    on_a_node = replace(work.needs, count=kind.devices_per_node) if is_wide else work.needs
    try:
        check_needs(region, kind, on_a_node)
    except NeedsError as error:
        return "needs", str(error).partition("; ")[0]
    if not is_bound:
        names = ", ".join(f"{place[0]}/{place[1]}" for place in allowed)
        return "binding", f"its definition allows {names} alone"
    units = _units(work.needs, kind)
    for quota in region.team_quotas:
        if (quota.team, quota.hardware) == (work.needs.team, kind.id) and units > quota.devices:
            own = f"the quota of {quota.team} in {region.name} is {quota.devices:g}"
            return "quota", f"it uses {units:g} {kind.id} at once, and {own}"
    return None


def _units(needs: Needs, kind: Hardware) -> float:
    """Devices, or cores of `cpu`, that a step uses."""
    return needs.cpu_millicores / 1000 if kind.is_cpu else max(1, needs.count)


def hours_on(work: Work, kind: Hardware, bound: Hardware) -> float:
    """The duration of a step on all its devices or cores of a kind; as on the bound kind where no peak is known."""
    if kind.id == bound.id:
        return work.hours
    speed = relative_speed(kind, bound)
    return work.hours * (_units(work.needs, bound) / _units(work.needs, kind) / speed if speed is not None else 1.0)


def _flavours(
    work: Work, region: Region, kind: Hardware, bound: Hardware, wait_ms: int
) -> tuple[list[Option], list[Removed]]:
    """The reserved option and, for a step that may be preempted, the spot option; those that a rule removes apart."""
    needs = work.needs
    units = _units(needs, kind)
    count = 0 if kind.is_cpu else max(1, needs.count)
    hours = hours_on(work, kind, bound)
    hours += all_reduce_hours(work.gang, devices=count, devices_per_node=kind.devices_per_node, region=region)
    flavours: list[tuple[str, Figure, float | None]] = [(RESERVED, kind.usd_per_hour, hours)]
    if needs.is_preemptible and kind.usd_per_hour_spot is not None and kind.interruptions_per_hour is not None:
        flavours.append((SPOT, kind.usd_per_hour_spot, on_spot(hours, kind.interruptions_per_hour.value, count)))
    watts = units * kind.power_w.value * region.pue.value
    options, removed = list[Option](), list[Removed]()
    for flavour, price, expected in flavours:
        if expected is None:
            never = f"spot would be interrupted more than {MOST_INTERRUPTIONS:g} times before it ends"
            removed.append(Removed(region.name, kind.id, "needs", never, flavour))
            continue
        option = Option(
            region=region.name,
            hardware=kind.id,
            count=count,
            flavour=flavour,
            cost_microusd=microusd(price.value * units * expected),
            duration_ms=round(expected * MS_PER_HOUR),
            carbon_mg=round(watts * expected * fmean(region.carbon_g_per_kwh.values)),  # W h x g/kWh is mg
            wait_ms=wait_ms,
            power_w=round(watts),
            milliunits=round(1000 * units),
            unit_microusd_per_hour=microusd(price.value),
        )
        most = needs.max_usd
        if most is not None and option.cost_microusd > microusd(most):
            dear = f"{flavour} costs ${option.cost_microusd / 1e6:.4g}, more than max_usd {most:g}"
            removed.append(Removed(region.name, kind.id, "money", dear, flavour))
        else:
            options.append(option)
    return options, removed
