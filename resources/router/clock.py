"""The time the router goes by: its own, never a server's, so that a cluster whose clock is wrong changes nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """What tells the seconds since some moment, and what waits; a simulation hands in its own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Patience:
    """How long the router waits for what, in seconds.

    Attributes:
        request_s: one call of an API.
        applied_s: a call without an answer may still take effect for this long (an API server gives up after 60 s).
        launch_s: an API that answers no creation, before the attempt is given up.
        verdict_s: a Job that ended, or is gone, without a word of its step in the event log.
        image_s: an image that cannot be pulled, a container that cannot be made.
        podless_s: a Job that makes no pod, where no event says why; one that says why ends it after `image_s`.
        container_s: a pod on a node whose container does not start, where no event says why.
        unschedulable_s: a pod without a node, before a step that may move moves.
        pending_s: a pod without a node or a Job in a queue, before the attempt is given up.
        lost_s: a region that does not answer, before what runs there counts as lost.
        overdue_s: a pod that was told to end, beyond its grace period, before it counts as lost with its node.
        farewell_s: a step that said its last word, before its Job is deleted rather than waited for.
        cleanup_s: deleting what is left when the run ends.
        taken_s: a step that is offered to a worker at work already, since that last came forward.
        group_start_s: the same, to a worker whose pod has not begun.
        group_s: how long a worker takes further steps.
    """

    request_s: float = 10
    applied_s: float = 60
    launch_s: float = 300
    verdict_s: float = 60
    image_s: float = 300
    podless_s: float = 600
    container_s: float = 1500
    unschedulable_s: float = 600
    pending_s: float = 24 * 3600
    lost_s: float = 900
    overdue_s: float = 60
    farewell_s: float = 15
    cleanup_s: float = 120
    taken_s: float = 15
    group_start_s: float = 60
    group_s: float = 3600
