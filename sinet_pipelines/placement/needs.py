"""What a step needs: cores, memory, accelerators, hours, and whether it may be preempted or moved."""

import json
import re
from dataclasses import asdict, dataclass, fields
from datetime import time
from typing import Any

from sinet_pipelines.errors import NeedsError
from sinet_pipelines.inventory.sites import PRIORITIES, TierKind

_COUNTS = ("cpu_millicores", "memory_mib", "count", "memory_mib_per_day", "checkpoint_seconds", "scratch_gib")
_NUMBERS = ("hours", "memory_growth", "device_memory_gib")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")  # a valid value of a Kubernetes label


@dataclass(frozen=True)
class Needs:
    """What a step needs.

    Attributes:
        cpu_millicores: thousandths of a core.
        memory_mib: of the node's memory.
        count: devices of the kind it is bound to; 0 for `cpu`.
        device_memory_gib: smallest memory of each device.
        hours: estimated duration; the deadline is twice this.
        latest_finish: the time of day (UTC) by which it should be ready; None for any.
        is_preemptible: whether it may be interrupted and restarted, so that it may run on spot nodes.
        priority: one of low, normal, high.
        team: the team with its quota and cost.
        cost_centre: the cost centre of its cost.
        is_cheap: whether it takes seconds: it runs as a process of the run's own pod.
        may_move_to: other places, as (region, hardware), in the order in which they are tried.
        memory_growth: factor of the memory after each attempt that ran out of it.
        memory_mib_per_day: additional memory for each day of a range.
        checkpoint_seconds: time to save its state after SIGTERM.
        storage: the storage tiers that it reads and writes.
        scratch_gib: space on the node's own disk, if it uses that tier.
        deploys: whether it applies objects to its region's cluster, for which its pod needs a token.
        max_usd: the most that one step may cost by its estimate, USD; None for any.
    """

    cpu_millicores: int = 1000
    memory_mib: int = 2048
    count: int = 0
    device_memory_gib: float = 0.0
    hours: float = 1.0
    latest_finish: time | None = None
    is_preemptible: bool = False
    priority: str = "normal"
    team: str = "predictive-maintenance"
    cost_centre: str = "sinet"
    is_cheap: bool = False
    may_move_to: tuple[tuple[str, str], ...] = ()
    memory_growth: float = 2.0
    memory_mib_per_day: int = 0
    checkpoint_seconds: int = 30
    storage: tuple[str, ...] = (TierKind.PARALLEL_FILES.value,)
    scratch_gib: int = 0
    deploys: bool = False
    max_usd: float | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            self._must(type(value := getattr(self, name)) is int and value >= 0, name, "a whole number of 0 or more")
        for name in _NUMBERS:
            value = getattr(self, name)
            self._must(type(value) in (int, float) and 0 <= value < float("inf"), name, "a number of 0 or more")
        for name in ("is_preemptible", "is_cheap", "deploys"):
            self._must(type(getattr(self, name)) is bool, name, "True or False")
        for name in ("team", "cost_centre"):
            self._must(bool(_LABEL.fullmatch(str(getattr(self, name)))), name, "at most 63 letters, digits, . _ or -")
        self._must(self.cpu_millicores > 0, "cpu_millicores", "1 or more")
        self._must(self.memory_mib > 0, "memory_mib", "1 or more")
        self._must(self.hours > 0, "hours", "more than 0")
        self._must(self.memory_growth >= 1, "memory_growth", "1 or more")
        self._must(self.priority in PRIORITIES, "priority", f"one of {', '.join(PRIORITIES)}")
        is_utc = isinstance(self.latest_finish, time) and self.latest_finish.tzinfo is None
        allowed = "a time of day in UTC without an offset, as 06:30"
        self._must(self.latest_finish is None or is_utc, "latest_finish", allowed)
        if self.max_usd is not None:
            is_price = type(self.max_usd) in (int, float) and 0 <= self.max_usd < float("inf")
            self._must(is_price, "max_usd", "a number of 0 or more")
        kinds = [kind.value for kind in TierKind]
        self._must(set(self.storage) <= set(kinds), "storage", f"of {', '.join(kinds)}")
        self._must(
            TierKind.LOCAL_NVME.value not in self.storage or self.scratch_gib > 0,
            "scratch_gib",
            "1 or more for scratch",
        )
        self._must(all(len(place) == 2 for place in self.may_move_to), "may_move_to", "pairs of (region, hardware)")

    def _must(self, is_so: bool, name: str, allowed: str) -> None:
        if not is_so:
            raise NeedsError(f"{name} is {getattr(self, name)!r}; allowed is {allowed}")

    def to_json(self) -> str:
        """The needs as text for a tag: only values that differ from the defaults."""
        stated = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}
        return json.dumps(stated, default=str, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Needs":
        """The needs in a tag.

        Raises:
            NeedsError: not JSON, or an unknown need.

        >>> Needs.from_json(Needs(count=8, may_move_to=(("WEST", "nvidia-a100"),)).to_json()).may_move_to
        (('WEST', 'nvidia-a100'),)
        """
        try:
            stated: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise NeedsError(f"{text!r} is not JSON ({error}); write what `Needs.to_json` writes") from error
        known = asdict(Needs())
        if not isinstance(stated, dict) or (strangers := set(stated).difference(known)):
            found = ", ".join(sorted(strangers)) if isinstance(stated, dict) else text
            raise NeedsError(f"there is no need {found} (there is: {', '.join(known)}); correct the name")
        if stated.get("latest_finish"):
            stated["latest_finish"] = _time(stated["latest_finish"])
        stated["may_move_to"] = tuple(tuple(place) for place in stated.get("may_move_to", ()))
        stated["storage"] = tuple(stated.get("storage", Needs().storage))
        return Needs(**stated)


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise NeedsError(f"latest_finish is {text!r}; allowed is a time of day as 06:30") from error
