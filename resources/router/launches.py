"""Launches attempts: assigns a place and a Job, and creates the Job once earlier Jobs of the step are gone."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from dagster import DagsterEvent

from resources.dagster_private import EngineEventData, StepHandlerContext
from resources.router.attempts import Attempt, record_place
from resources.router.clock import Clock, Patience
from resources.router.cluster import OVER_QUOTA
from resources.router.connections import RegionClusters
from resources.router.endings import QUOTA_EXCEEDED, REFUSED, UNREACHABLE, Ending
from resources.router.jobs import RegionJobs
from resources.router.leftovers import Condemned, Leftovers
from resources.router.places import Place
from sinet_pipelines.errors import ClusterError, UsageError
from sinet_pipelines.inventory.regions import Inventory
from sinet_pipelines.placement.bindings import grace_s, step_config
from sinet_pipelines.placement.needs import Needs


class Launches:
    """The launches of a run's attempts; none of them waits.

    `found` is called with each attempt that got a place and a Job, and with the Job's configuration.
    """

    def __init__(
        self,
        clusters: RegionClusters,
        leftovers: Leftovers,
        inventory: Inventory,
        *,
        per_step: Mapping[str, Any] | None,
        clock: Clock,
        patience: Patience,
        found: Callable[[Attempt, Any], None],
    ) -> None:
        self._clusters, self._leftovers, self._inventory = clusters, leftovers, inventory
        self._per_step, self._clock, self._patience, self._found = per_step, clock, patience, found
        self._jobs: dict[str, RegionJobs] = {}

    def settle(self, context: StepHandlerContext, attempt: Attempt, place: Place, *, move: int = 0) -> None:
        """Assigns a place and a Job to the attempt; the Job is not created yet."""
        region = self._inventory.region(place.region)
        jobs = self._jobs.setdefault(
            place.region, RegionJobs(region, regions=self._inventory.regions, per_step=self._per_step)
        )
        needs = cast(Needs, attempt.needs)
        try:
            config = step_config(region, region.kind(place.hardware), needs, attempt_memory_factor=place.memory_factor)
        except UsageError as error:  # a place in `may_move_to` that cannot satisfy the needs
            attempt.ending = Ending(REFUSED, str(error))
            return
        attempt.place, attempt.move, attempt.is_created = place, move, False
        attempt.job = jobs.job(context, config=config, move=move)
        attempt.namespace, attempt.name = region.cluster.namespace, attempt.job.metadata.name
        attempt.since, attempt.may_appear_until = {}, 0.0
        self._found(attempt, config)
        record_place(attempt)

    def create(self, attempt: Attempt) -> Ending | None:
        """Creates the attempt's Job, once no earlier Job of its step is in the way; returns how it ended if it did."""
        before = self._leftovers.of(attempt.step_key)
        if before and not self._may_pass(attempt, before):
            if attempt.move and self.lasted(attempt, "predecessor", self._patience.lost_s):
                return Ending(
                    UNREACHABLE, f"the Job it moved from, {before[0].name}, cannot be deleted: {before[0].trouble}"
                )
            return None
        try:
            self._clusters.get(attempt.region).create(attempt.namespace, attempt.job)
        except ClusterError as error:
            if error.is_final:
                return Ending(REFUSED, str(error))
            if not error.is_untouched:
                attempt.may_appear_until = self._clock.now() + self._patience.applied_s
            given_up = self.lasted(attempt, "launch", self._patience.launch_s)
            if not given_up:
                return None
            return Ending(QUOTA_EXCEEDED if OVER_QUOTA in str(error) else UNREACHABLE, str(error))
        attempt.is_created = True
        return None

    def _may_pass(self, attempt: Attempt, before: list[Condemned]) -> bool:
        """Whether the step may start although an earlier Job of it still exists.

        A Job of an earlier attempt may no longer commit. It is waited for, since it occupies hardware, but not where
        its region does not respond, and no longer than a pod takes to end on a working node. A Job that this attempt
        moved from waits for a node, so it is gone soon.
        """
        if any(one.attempt is attempt for one in before):
            return False
        if all(self._clusters.get(one.region).down_since is not None for one in before):
            return True
        if not self.lasted(attempt, "predecessor", grace_s(cast(Needs, attempt.needs)) + self._patience.overdue_s):
            return False
        names = ", ".join(one.name for one in before)
        message = f"Attempt {attempt.number + 1} starts although {names} still exists: its worker can no longer commit"
        DagsterEvent.engine_event(attempt.step, message, EngineEventData())
        return True

    def lasted(self, attempt: Attempt, what: str, limit_s: float) -> bool:
        """Whether a condition of the attempt has lasted this long; a new condition begins now."""
        return self._clock.now() - attempt.since.setdefault(what, self._clock.now()) >= limit_s
