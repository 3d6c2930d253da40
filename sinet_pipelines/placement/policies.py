"""Policies: what a plan minimises, as prices of money, time, carbon and moved data in one sum.

Three policies have an order instead of a sum. `fastest` minimises the finish of the whole plan, `greenest` its carbon,
`closest` the data that it moves between regions; cost decides among plans that are equal in that.
"""

import re
from dataclasses import dataclass, fields, replace

from sinet_pipelines.errors import UsageError
from sinet_pipelines.placement.problem import GIB, Asset, Option, Problem

MS_PER_HOUR = 3_600_000
KIB = 1024
CARBON, MOVED = "carbon", "moved"
MOST_WEIGHT = 1e9  # USD; a plan of 1,000 hours is then still counted exactly
_WEIGHT = re.compile(r"([a-z_]+)=([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True)
class Policy:
    """What a plan minimises.

    Attributes:
        name: as a user writes it.
        usd: weight of money; 1 unless only the finish counts.
        usd_per_hour: what an hour of a step, of its wait and of its transfers counts.
        usd_per_kg: what a kilogram of carbon dioxide counts.
        usd_per_gib: what a GiB moved between regions counts, in addition to its price.
        minimises_finish: whether the finish of the plan comes first.
        first: what comes before cost: `carbon` in milligrams, `moved` data in KiB, or nothing.
        first_weight: what a unit of that counts, in micro-dollars; `in_order` computes it for a problem.
        cost_weight: 0 where cost does not count.
    """

    name: str
    usd_per_hour: float = 0.0
    usd_per_kg: float = 0.0
    usd_per_gib: float = 0.0
    minimises_finish: bool = False
    first: str = ""
    first_weight: int = 0
    cost_weight: int = 1

    @property
    def is_weighted(self) -> bool:
        """Whether it adds time, carbon or moved data to money."""
        return bool(self.usd_per_hour or self.usd_per_kg or self.usd_per_gib)

    def first_of_option(self, option: Option) -> int:
        """What an option adds to what comes before cost, in its unit."""
        return option.carbon_mg if self.first == CARBON else 0

    def first_of_copy(self, source: Asset, origin: str, target: str) -> int:
        """What a copy adds to what comes before cost, in its unit; a copy's KiB are rounded up."""
        return -(-source.bytes // KIB) if self.first == MOVED and origin != target else 0

    def split(self, counted: int) -> tuple[int, int]:
        """A difference of two plans as what comes before cost, in its unit, and micro-dollars."""
        if not self.first_weight:
            return 0, counted
        units = (counted + self.first_weight // 2) // self.first_weight
        return units, counted - units * self.first_weight

    def of_option(self, option: Option) -> int:
        """What an option counts, in micro-dollars."""
        return self.cost_weight * self._cost_of(option) + self.first_weight * self.first_of_option(option)

    def _cost_of(self, option: Option) -> int:
        hours = (option.duration_ms + option.wait_ms) / MS_PER_HOUR
        added = hours * self.usd_per_hour * 1e6 + option.carbon_mg * self.usd_per_kg  # mg x USD/kg is micro-dollars
        return option.cost_microusd + round(added)

    def of_copy(self, problem: Problem, source: Asset, origin: str, target: str) -> int:
        """What a copy of an asset's data counts, in micro-dollars; 0 within a region."""
        if origin == target:
            return 0
        first = self.first_weight * self.first_of_copy(source, origin, target)
        return self.cost_weight * self._cost_of_copy(problem, source, origin, target) + first

    def _cost_of_copy(self, problem: Problem, source: Asset, origin: str, target: str) -> int:
        hours = problem.copy_ms(source, origin, target) / MS_PER_HOUR if self.usd_per_hour else 0.0
        added = hours * self.usd_per_hour * 1e6 + source.bytes / GIB * self.usd_per_gib * 1e6
        return problem.copy_microusd(source, origin, target) + round(added)


POLICIES = (
    Policy("cheapest"),
    Policy("fastest", minimises_finish=True),
    Policy("greenest", first=CARBON),
    Policy("closest", first=MOVED),
    Policy("weighted", usd_per_hour=1.0, usd_per_kg=0.1),
)


def policy_of(text: str) -> Policy:
    """The policy of a name, or `weighted:` with weights of its own.

    Raises:
        UsageError: there is no such policy or weight.

    >>> policy_of("weighted:usd_per_hour=5,usd_per_kg=0.2").usd_per_hour
    5.0
    """
    name, _, weights = text.partition(":")
    known = {one.name: one for one in POLICIES}
    if name not in known or (weights and name != "weighted"):
        raise UsageError(f"no policy {text!r} (there is: {', '.join(known)}); name one of these")
    if not weights:
        return known[name]
    allowed = [one.name for one in fields(Policy) if one.name.startswith("usd_")]
    given = {}
    for part in weights.split(","):
        found = _WEIGHT.fullmatch(part)
        if found is None or found[1] not in allowed:
            raise UsageError(f"{part!r} is no weight; write {' or '.join(f'{one}=NUMBER' for one in allowed)}")
        given[found[1]] = float(found[2])
        if given[found[1]] > MOST_WEIGHT:
            raise UsageError(f"the weight {part} is too large; allowed is 0 to {MOST_WEIGHT:g} USD")
    return replace(Policy(text), **given)  # type: ignore[arg-type]


def most_counted(problem: Problem, policy: Policy) -> int:
    """At least what any plan counts: the greatest option of each asset, and all copies that readers can need."""
    total = sum(max(policy.of_option(option) for option in one.options) for one in problem.assets)
    for source in problem.assets:
        readers = [problem.by_name[name] for name in dict.fromkeys(e.target for e in problem.outgoing[source.name])]
        for region in dict.fromkeys(region for one in readers for region in one.regions):
            total += max(policy.of_copy(problem, source, origin, region) for origin in source.regions)
    return total


def in_order(problem: Problem, policy: Policy) -> Policy:
    """A policy whose `first` counts more than any difference of cost, so that one sum has the order of both."""
    most = most_counted(problem, replace(policy, first_weight=0, cost_weight=1))
    return replace(policy, first_weight=2 * most + 1, cost_weight=1)
