"""Policies: what a plan minimises, as prices of money, time, carbon and moved data in one sum.

`fastest` is another kind: it minimises the finish of the whole plan, and cost among plans that finish equally early.
"""

import re
from dataclasses import dataclass, fields, replace

from sinet_pipelines.errors import UsageError
from sinet_pipelines.placement.problem import GIB, Asset, Option, Problem

MS_PER_HOUR = 3_600_000
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
    """

    name: str
    usd_per_hour: float = 0.0
    usd_per_kg: float = 0.0
    usd_per_gib: float = 0.0
    minimises_finish: bool = False

    def of_option(self, option: Option) -> int:
        """What an option counts, in micro-dollars."""
        hours = (option.duration_ms + option.wait_ms) / MS_PER_HOUR
        added = hours * self.usd_per_hour * 1e6 + option.carbon_mg * self.usd_per_kg  # mg x USD/kg is micro-dollars
        return option.cost_microusd + round(added)

    def of_copy(self, problem: Problem, source: Asset, origin: str, target: str) -> int:
        """What a copy of an asset's data counts, in micro-dollars; 0 within a region."""
        if origin == target:
            return 0
        hours = problem.copy_ms(source, origin, target) / MS_PER_HOUR if self.usd_per_hour else 0.0
        added = hours * self.usd_per_hour * 1e6 + source.bytes / GIB * self.usd_per_gib * 1e6
        return problem.copy_microusd(source, origin, target) + round(added)


#: `greenest` and `closest` count carbon and moved data at a price that no bill comes near; cost decides among equals.
POLICIES = (
    Policy("cheapest"),
    Policy("fastest", minimises_finish=True),
    Policy("greenest", usd_per_kg=1000.0),
    Policy("closest", usd_per_gib=1000.0),
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
    return replace(Policy(text), **given)  # type: ignore[arg-type]
