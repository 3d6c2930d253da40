"""Synthetic graphs for the placement planner: 12 regions, 30 kinds, two shapes.

`pipe` looks like this platform: chains of data pinned to a region, joins, training on accelerators, pinned endpoints.
`rand` is adversarial: layers of assets that may run anywhere, each with one to three parents.
"""

import random
from dataclasses import dataclass

from sinet_pipelines.placement.problem import GIB, Asset, Edge, Line, Option, Problem, Quota

PROVIDERS, REGIONS_EACH, KINDS = 3, 4, 30
KINDS_ON_SITE = 10
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Kind:
    """A kind of accelerator: memory in GiB, speed relative to the slowest, price in micro-dollars per hour."""

    name: str
    memory: int
    speed: float
    price: int


@dataclass(frozen=True)
class Fleet:
    """Regions with the kinds on their sites, the price level of each kind there, and the lines between regions."""

    regions: tuple[str, ...]
    kinds: dict[str, tuple[Kind, ...]]
    levels: dict[tuple[str, str], float]
    lines: dict[tuple[str, str], Line]


def fleet(seed: int = 1) -> Fleet:
    """12 regions of three providers; lines within a provider are cheaper and faster."""
    draw = random.Random(seed)
    kinds = []
    for number in range(KINDS):
        speed = 2 ** (6 * number / KINDS)
        memory = draw.choice([16, 24, 40, 80, 128])
        kinds.append(Kind(f"kind_{number:02d}", memory, speed, round(300_000 * speed * draw.uniform(0.7, 1.5))))
    names = tuple(f"R{one}{two}" for one in range(PROVIDERS) for two in range(REGIONS_EACH))
    on_site = {name: tuple(draw.sample(kinds, KINDS_ON_SITE)) for name in names}
    levels = {(name, kind.name): draw.uniform(0.6, 1.6) for name in names for kind in kinds}
    near, far = Line(20_000, 860, 60), Line(90_000, 4_300, 120)
    lines = {(a, b): near if a[1] == b[1] else far for a in names for b in names if a != b}
    return Fleet(names, on_site, levels, lines)


def pipe(assets: int, *, seed: int = 2) -> Problem:
    """Applications of 25 assets: data chains in four regions, joins, trainings, reports, an endpoint."""
    draw, site = random.Random(seed), fleet()
    made: list[Asset] = []
    edges: list[Edge] = []
    while len(made) < assets:
        application = f"app_{len(made) // 25:03d}"
        regions = draw.sample(site.regions, 4)
        features = []
        for region in regions:
            chain = [
                _pinned(draw, site, f"{application}/{region}/{part}", region) for part in ("raw", "valid", "features")
            ]
            made += chain
            edges += [Edge(one.name, other.name) for one, other in zip(chain, chain[1:], strict=False)]
            features.append(chain[-1])
        join = _free(draw, site, f"{application}/set", gib=draw.uniform(20, 200))
        models = [_free(draw, site, f"{application}/model_{n}", gib=draw.uniform(1, 60)) for n in range(4)]
        reports = [_free(draw, site, f"{application}/report_{n}", gib=0.01) for n in range(6)]
        served = _free(draw, site, f"{application}/served", gib=0.5)
        endpoint = _pinned(draw, site, f"{application}/endpoint", draw.choice(site.regions))
        made += [join, *models, *reports, served, endpoint]
        edges += [_guarded(draw, features[0], join), *(Edge(one.name, join.name) for one in features[1:])]
        edges += [Edge(join.name, one.name) for one in models]
        edges += [Edge(models[n % 4].name, one.name) for n, one in enumerate(reports)]
        edges += [
            Edge(join.name, reports[0].name),
            Edge(models[0].name, served.name),
            Edge(models[1].name, served.name),
        ]
        edges.append(Edge(served.name, endpoint.name))
    return _cut(made, edges, assets, site)


def rand(assets: int, *, seed: int = 3) -> Problem:
    """Layers of ten assets; each reads one to three of the layer before and may run anywhere."""
    draw, site = random.Random(seed), fleet()
    made = [_free(draw, site, f"asset_{n:04d}", gib=draw.uniform(1, 25)) for n in range(assets)]
    edges = []
    for number, asset in enumerate(made):
        before = made[max(0, 10 * (number // 10) - 10) : 10 * (number // 10)]
        edges += [_guarded(draw, one, asset) for one in draw.sample(before, min(len(before), draw.randint(1, 3)))]
    return _cut(made, edges, assets, site)


def with_rules(problem: Problem, *, used: dict[str, int], latest_ms: int) -> Problem:
    """The problem with a quota of half of the free use of each kind, and one latest finish of all last assets."""
    quotas = tuple(Quota(team, kind, unit_ms // 2) for (team, kind), unit_ms in _by_team(problem, used).items())
    sources = {edge.source: None for edge in problem.edges}
    assets = tuple(
        one if one.name in sources else Asset(one.name, one.options, one.bytes, one.team, latest_ms)
        for one in problem.assets
    )
    return Problem(assets, problem.edges, problem.lines, quotas)


def _by_team(problem: Problem, chosen: dict[str, int]) -> dict[tuple[str, str], int]:
    """Device time of each team and kind in a plan, of assets that have several regions."""
    found: dict[tuple[str, str], int] = {}
    for asset in problem.assets:
        option = asset.options[chosen[asset.name]]
        if len(asset.regions) > 1:
            key = asset.team, option.hardware
            found[key] = found.get(key, 0) + option.unit_ms
    return found


def _pinned(draw: random.Random, site: Fleet, name: str, region: str) -> Asset:
    cost, duration = draw.randrange(50_000, 2_000_000), draw.randrange(HOUR_MS // 10, HOUR_MS)
    option = Option(region, "cpu", 0, "reserved", cost, duration, unit_microusd_per_hour=40_000)
    return Asset(name, (option,), bytes=round(draw.uniform(5, 100) * GIB), team="plant")


def _free(draw: random.Random, site: Fleet, name: str, *, gib: float) -> Asset:
    memory, work = draw.choice([8, 16, 24, 40]), draw.uniform(0.5, 20.0)
    options = []
    for region in site.regions:
        for kind in site.kinds[region]:
            if kind.memory >= memory:
                hours = work / kind.speed
                price = round(kind.price * site.levels[region, kind.name])
                options.append(
                    Option(
                        region,
                        kind.name,
                        1,
                        "reserved",
                        round(price * hours),
                        round(hours * HOUR_MS),
                        unit_microusd_per_hour=price,
                    )
                )
    return Asset(name, tuple(options), bytes=round(gib * GIB), team=draw.choice(("plant", "research")))


def _guarded(draw: random.Random, source: Asset, target: Asset) -> Edge:
    """An edge whose data, one time in five, may not leave the provider of their region."""
    if draw.random() > 0.2:
        return Edge(source.name, target.name)
    pairs = {(a, b): "stays with its provider" for a in source.regions for b in target.regions if a[1] != b[1]}
    return Edge(source.name, target.name, pairs)


def _cut(made: list[Asset], edges: list[Edge], assets: int, site: Fleet) -> Problem:
    kept = {one.name: None for one in made[:assets]}
    return Problem(
        tuple(made[:assets]), tuple(one for one in edges if one.source in kept and one.target in kept), site.lines
    )
