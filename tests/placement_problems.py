"""Random placement problems, and a plan found by trying all of them, which shares no line with the planner."""

import itertools
import math
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np

from sinet_pipelines.placement.problem import GIB, Asset, Edge, Line, Option, Problem, Quota

REGIONS = ("A", "B", "C", "D")
KINDS = ("cpu", "gpu", "tpu")
HOUR_MS = 3_600_000


def random_problem(seed, *, assets=8, options=4, regions=REGIONS, parents=2, forbidden=0.1, kinds=KINDS):
    """A layered graph whose assets have a few options each; some pairs of regions are forbidden on some edges."""
    draw = random.Random(seed)
    lines = {
        (a, b): Line(draw.choice([10_000, 40_000, 90_000]), draw.choice([1_000, 8_000]), draw.choice([30, 100]))
        for a in regions
        for b in regions
        if a != b
    }
    made = []
    for number in range(assets):
        places = draw.sample([(region, kind) for region in regions for kind in kinds], options)
        found = tuple(
            Option(
                region=region,
                hardware=kind,
                count=1,
                flavour="reserved",
                cost_microusd=draw.randrange(50_000, 400_000),
                duration_ms=draw.randrange(60_000, 2 * HOUR_MS),
                carbon_mg=draw.randrange(1_000, 90_000),
                power_w=draw.randrange(100, 900),
                unit_microusd_per_hour=100_000,
            )
            for region, kind in places
        )
        made.append(Asset(f"asset_{number:04d}", found, bytes=draw.randrange(8 * GIB), team=draw.choice("xy")))
    edges = []
    for number, asset in enumerate(made):
        before = made[max(0, number - 6) : number]
        for source in draw.sample(before, min(len(before), draw.randint(0, parents))):
            pairs = [(a, b) for a in source.regions for b in asset.regions if a != b]
            rules = {pair: "class sequence stays" for pair in pairs if draw.random() < forbidden}
            edges.append(Edge(source.name, asset.name, rules))
    return Problem(tuple(made), tuple(edges), lines)


def every_assignment(problem):
    """All assignments as rows of option numbers, with their cost, carbon, finish, and whether residency allows them.

    Returns:
        (n, assets) options, and by name of the figure (n,) arrays.
    """
    sizes = [len(one.options) for one in problem.assets]
    rows = np.stack([axis.reshape(-1) for axis in np.meshgrid(*map(np.arange, sizes), indexing="ij")], axis=1)
    at = {one.name: number for number, one in enumerate(problem.assets)}
    names = sorted({option.region for one in problem.assets for option in one.options})
    region = [
        np.array([names.index(option.region) for option in one.options])[rows[:, number]]
        for number, one in enumerate(problem.assets)
    ]

    def of(number, what):
        return np.array([getattr(option, what) for option in problem.assets[number].options])[rows[:, number]]

    cost = sum(of(number, "cost_microusd") for number in range(len(sizes)))
    carbon = sum(of(number, "carbon_mg") for number in range(len(sizes)))
    allowed = np.ones(len(rows), bool)
    for number, asset in enumerate(problem.assets):
        readers = [at[edge.target] for edge in problem.edges if edge.source == asset.name]
        for other, name in enumerate(names):
            reads = np.zeros(len(rows), bool)
            for reader in readers:
                reads |= region[reader] == other
            prices = np.array([egress_microusd(problem, asset, one, name) for one in names])
            cost = cost + np.where(reads, prices[region[number]], 0)
    for edge in problem.edges:
        for a, b in edge.forbidden:
            allowed &= ~((region[at[edge.source]] == names.index(a)) & (region[at[edge.target]] == names.index(b)))
    ends = []
    for number, asset in enumerate(problem.assets):  # in order: an asset reads earlier ones alone
        start = np.zeros(len(rows), int)
        for edge in problem.edges:
            if edge.target == asset.name and edge.is_order:
                took = np.array(
                    [[transfer_ms(problem, problem.by_name[edge.source], a, b) for b in names] for a in names]
                )
                parent = at[edge.source]
                start = np.maximum(start, ends[parent] + took[region[parent], region[number]])
        ends.append(start + of(number, "wait_ms") + of(number, "duration_ms"))
    figures = {"cost": cost, "carbon": carbon, "finish": np.max(ends, axis=0), "allowed": allowed}
    figures |= {f"end_{one.name}": ends[number] for number, one in enumerate(problem.assets)}
    for quota in problem.quotas:
        used = np.zeros(len(rows), int)
        for number, asset in enumerate(problem.assets):
            counts = [
                option.milliunits * option.duration_ms // 1000
                if (asset.team, option.hardware) == (quota.team, quota.hardware) and quota.region in ("", option.region)
                else 0
                for option in asset.options
            ]
            used = used + np.array(counts)[rows[:, number]]
        figures["allowed"] = figures["allowed"] & (used <= quota.unit_ms)
    for cap in problem.power_caps:
        drawn = [
            np.array([option.power_w * (option.region == cap.region) for option in one.options])[rows[:, number]]
            for number, one in enumerate(problem.assets)
        ]
        for together in at_the_same_time(problem):
            figures["allowed"] = figures["allowed"] & (sum(drawn[number] for number in together) <= cap.watts)
    for number, asset in enumerate(problem.assets):
        if asset.latest_ms is not None:
            figures["allowed"] = figures["allowed"] & (ends[number] <= asset.latest_ms)
    return rows, figures


def egress_microusd(problem, source, origin, target):
    """The price of a copy, rounded up; 0 within a region."""
    if origin == target:
        return 0
    return math.ceil(Fraction(source.bytes, GIB) * problem.lines[origin, target].microusd_per_gib)


def transfer_ms(problem, source, origin, target):
    """The duration of a copy, rounded up; 0 within a region."""
    if origin == target:
        return 0
    line = problem.lines[origin, target]
    return line.latency_ms + math.ceil(Fraction(source.bytes, GIB) * line.ms_per_gib)


def at_the_same_time(problem):
    """Every set of two or more assets, by number, of which none starts after another one's end, and each asset."""
    at = {one.name: number for number, one in enumerate(problem.assets)}
    later = [set() for _ in problem.assets]
    for number in reversed(range(len(later))):
        for edge in problem.edges:
            if edge.is_order and at[edge.source] == number:
                later[number] |= {at[edge.target]} | later[at[edge.target]]
    sets = (pick for size in range(1, len(at) + 1) for pick in itertools.combinations(range(len(at)), size))
    return [pick for pick in sets if not any(b in later[a] for a in pick for b in pick)]


def least(problem, what="cost"):
    """The least value of a figure over all allowed assignments; None where there is none."""
    _, figures = every_assignment(problem)
    found = figures[what][figures["allowed"]]
    return int(found.min()) if len(found) else None


def with_rules(problem, *, tightness):
    """A quota of each team's gpus and a deadline of the last asset, between the loosest and the tightest ones."""
    _, found = every_assignment(problem)
    last = problem.assets[-1].name
    ends = found[f"end_{last}"][found["allowed"]]
    latest = int(ends.min() + (1 - tightness) * (ends.max() - ends.min()))
    used = sum(max(o.unit_ms for o in one.options) for one in problem.assets if one.team == "x")
    assets = tuple(replace(one, latest_ms=latest) if one.name == last else one for one in problem.assets)
    return replace(problem, assets=assets, quotas=(Quota("x", "gpu", round(used * (1 - tightness) / 4)),))
