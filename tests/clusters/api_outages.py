"""Windows in which a region's API misbehaves, and what one request meets in such a window."""

import random
from dataclasses import dataclass

from tests.clusters.server import Trouble


@dataclass
class Outage:
    """A window in which a region's API misbehaves.

    Attributes:
        begins_at: seconds of the simulation's clock.
        ends_at: the same.
        kind: how requests fail.
        share: of the requests that fail, 0 to 1.
        status: of the refusal, where the kind is `status`.
    """

    begins_at: float
    ends_at: float
    kind: str
    share: float
    status: int = 0


def trouble_of(outage: Outage, method: str, rng: random.Random) -> Trouble:
    """What goes wrong with one request in an outage, drawn where the kind leaves it open."""
    if outage.kind == "status":
        is_done = outage.status >= 500 and rng.random() < 0.3
        return Trouble(status=outage.status, is_done=is_done)
    if outage.kind == "lost":
        return Trouble()
    if outage.kind == "unanswered":
        return Trouble(is_done=True)
    if outage.kind == "late":
        return Trouble(after_s=50)
    way = rng.random()
    if way < 0.4:
        return Trouble()
    if way < 0.7 or method == "GET":
        return Trouble(is_done=True)
    return Trouble(after_s=rng.uniform(1, 55))
