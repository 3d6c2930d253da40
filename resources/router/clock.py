"""The router's clock. Times of servers are never used, so a cluster with a wrong clock changes nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Measures seconds and waits; a simulation passes a clock of its own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Patience:
    """The router's time limits in seconds.

    Attributes:
        request_s: one call of an API.
        applied_s: after this time a call without a response can no longer take effect (API servers stop after 60 s).
        launch_s: an API that does not confirm a creation; then the attempt ends.
        verdict_s: a Job that ended or is gone, without a final event of its step in the event log.
        image_s: an image that cannot be pulled, or a container that cannot be created.
        podless_s: a Job without a pod where no event has a reason; with a reason the limit is `image_s`.
        container_s: a pod on a node whose container does not start, where no event has a reason.
        unschedulable_s: a pod without a node; then a step that may move moves.
        pending_s: a pod without a node, or a Job in a queue; then the attempt ends.
        lost_s: a region that does not respond; then its running steps count as lost.
        overdue_s: time beyond its grace period after which a terminating pod counts as lost with its node.
        farewell_s: a step that wrote its final event; then its Job is deleted although it has not ended.
        cleanup_s: deletion of Jobs at the end of the run.
        taken_s: a step that is offered to a running worker, counted from the worker's last progress.
        group_start_s: the same for a worker whose pod has not started.
        group_s: time during which a worker accepts further steps.
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
