"""Handles steps for the region router: launches a step in its region, polls its Job, and reports how it ended.

No method waits: a Job that could not be created or deleted is tried again in the next poll, so that a region that does
not respond delays only its own steps. The event log decides whether a step ended. It is read after the cluster, since a
worker writes its final event before its pod ends.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, MetadataValue

from resources.dagster_private import (
    CheckStepHealthResult,
    EngineEventData,
    ExecutionStep,
    IStepContext,
    PlanOrchestrationContext,
    StepHandler,
    StepHandlerContext,
)
from resources.placement import NEEDS_TAG, REGION_TAG
from resources.router.attempts import (
    Attempt,
    attempt_of,
    home_of,
    metadata_of,
    noted,
    recalled,
)
from resources.router.clock import Clock, Patience
from resources.router.connections import RegionClusters
from resources.router.endings import (
    OOM_KILLED,
    REGION_LOST,
    UNBOUND,
    UNREACHABLE,
    Ending,
)
from resources.router.explanations import Explanations
from resources.router.fence import OUT_OF_MEMORY, TERMINATED, WITHDRAWN
from resources.router.groups import Groups
from resources.router.launches import Launches
from resources.router.leftovers import Leftovers
from resources.router.local import LocalSteps
from resources.router.places import Place, after, days_of, next_place
from resources.router.seen import SeenJob
from resources.router.verdicts import Verdict, verdict
from resources.router.weighing import NoNode, Weighing
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.inventory.regions import Inventory, this_inventory
from sinet_pipelines.placement.needs import Needs


class RegionStepHandler(StepHandler):
    """Runs each step in the cluster of its region; cheap steps run as processes beside the run.

    Without an inventory it reads the one that the environment of the run's process names.
    """

    def __init__(
        self,
        *,
        inventory: Inventory | None = None,
        kubeconfig: str | None = None,
        per_step: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        patience: Patience | None = None,
    ) -> None:
        super().__init__()
        self._inventory = inventory or this_inventory()
        self.clock, self._patience = clock or Clock(), patience or Patience()
        self._clusters = RegionClusters(
            self._inventory, kubeconfig=kubeconfig, clock=self.clock, patience=self._patience
        )
        self._explanations = Explanations(self._clusters)
        self._leftovers = Leftovers(
            self._clusters, self._explanations, self._inventory, clock=self.clock, patience=self._patience
        )
        self._groups = Groups(
            self._explanations,
            self._leftovers,
            self._inventory,
            per_step=per_step,
            clock=self.clock,
            patience=self._patience,
        )
        self._weighing = Weighing(self._explanations, patience=self._patience)
        self._launches = Launches(
            self._clusters,
            self._leftovers,
            self._inventory,
            per_step=per_step,
            clock=self.clock,
            patience=self._patience,
            found=self._groups.found,
        )
        self._local = LocalSteps()
        self._attempts: dict[str, Attempt] = {}

    @property
    def name(self) -> str:
        """The handler's name in the executor's events."""
        return "RegionStepHandler"

    # methods that Dagster's executor calls

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Creates the step's Job in its region, or starts its process; the next poll finds the result."""
        context = step_handler_context
        attempt = attempt_of(context)
        step_key, tags = attempt.step_key, context.step_tags[attempt.step_key]
        if attempt.number and step_key not in self._explanations.endings:
            self._explanations.endings[step_key] = recalled(context)[1]
        self._attempts[step_key] = attempt
        if REGION_TAG not in tags:
            attempt.ending = Ending(UNBOUND, f"step {step_key} has no {REGION_TAG} among its tags")
            return
        attempt.needs = Needs.from_json(tags[NEEDS_TAG])
        if attempt.needs.is_cheap:
            attempt.is_local = True
            yield from self._local.launch(context, step_key)
            return
        endings = self._explanations.endings.get(step_key, [])
        days = days_of(context.dagster_run.tags)
        place = next_place(home_of(context, step_key), attempt.needs, endings, days=days)
        if self._groups.join(context, attempt, place):
            return
        self._launches.settle(context, attempt, place)
        if attempt.ending is None:
            self._launches.create(attempt)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Unhealthy once the attempt can no longer succeed; the message has the reason, the cure and the last lines."""
        context = step_handler_context
        attempt = self._known(context)
        if attempt is None:
            return CheckStepHealthResult.unhealthy("the event log has no Job of this step")
        self._groups.clean()
        self._leftovers.clean()
        ending = None if attempt.is_recorded else self._judge(context, attempt)
        if ending is None or self._verdict(context, attempt).has_ended:
            return CheckStepHealthResult.healthy()
        self._explanations.note(attempt, ending)
        return CheckStepHealthResult.unhealthy(str(ending))

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Requests the deletion of the step's Job, pending or running; `finish` checks that it is gone."""
        attempt = self._known(step_handler_context)
        if attempt is not None:
            yield from self._end(attempt, step_handler_context.get_step_context(attempt.step_key))

    # further methods that the region executor calls

    def ending_of(self, step_key: str) -> Ending | None:
        """How the step's current attempt ended, by what the router has seen."""
        attempt = self._attempts.get(step_key)
        return attempt.ending if attempt else None

    def has_launched(self, step_key: str) -> bool:
        """Whether this run pod has launched or polled an attempt of the step that has not ended."""
        return step_key in self._attempts

    def metadata_of(self, step_key: str) -> dict[str, MetadataValue]:
        """Metadata of the step's current attempt, shown beside a failure's message."""
        attempt = self._attempts[step_key]
        return metadata_of(attempt, cast(Ending, attempt.ending))

    def note_event(self, event: DagsterEvent) -> None:
        """Handles an event of a step that is not its final one: its worker may have ended after SIGTERM."""
        attempt = self._attempts.get(event.step_key or "")
        metadata = event.engine_event_data.metadata
        for what in (TERMINATED, OUT_OF_MEMORY):
            if attempt is not None and what in metadata and metadata[what].value == attempt.number:
                attempt.is_interrupted = True
                if what == OUT_OF_MEMORY:
                    attempt.disturbed = Ending(OOM_KILLED, "the kernel killed a process of the step for memory")

    def ended(self, event: DagsterEvent) -> None:
        """Handles the final event of an attempt: releases its Job."""
        attempt = self._attempts.pop(cast(str, event.step_key), None)
        if attempt is None:
            return
        if attempt.is_local:
            self._local.leave(attempt.step_key)
        elif attempt.place is not None and self._groups.ended(attempt, event):
            return  # its Job executes another step, or waits for one
        elif attempt.place is not None and event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            self._leftovers.condemn(attempt)
        elif attempt.place is not None:
            self._leftovers.leave(attempt)

    def withdraw(self, plan: PlanOrchestrationContext) -> None:
        """Ends every attempt of a cancelled or ended run that has not ended, whichever run pod launched it."""
        left = list(self._attempts.values())
        known = {attempt.name for attempt in left}
        if plan.resume_from_failure:  # Jobs of an earlier run pod are known from the event log alone
            earlier = (attempt for attempt in noted(plan.instance, plan.run_id) if attempt.name not in known)
            left += [attempt for attempt in earlier if not self._has_ended(plan, attempt)]
        steps = plan.plan_data.execution_plan
        for attempt in left:
            step = cast(ExecutionStep, steps.get_step_by_key(attempt.step_key))
            list(self._end(attempt, plan.for_step(step)))

    def finish(self, plan: PlanOrchestrationContext) -> None:
        """Waits until no Job of this run is left to delete, or records which are."""
        self._local.finish()
        self._groups.finish(plan)
        if plan.resume_from_failure:
            known = noted(plan.instance, plan.run_id)
            at_work = {attempt.name for attempt in known if not self._has_ended(plan, attempt)}  # for the next run pod
            for attempt in known:
                if attempt.name not in at_work:
                    self._leftovers.leave(attempt)
        self._leftovers.finish(plan)

    # the life of an attempt

    def _judge(self, context: StepHandlerContext, attempt: Attempt) -> Ending | None:
        """How the attempt ended, from the state of the cluster; None while it may still succeed."""
        if attempt.ending is not None:
            return attempt.ending
        if attempt.is_local:
            return self._local.ending(attempt.step_key)
        offer = self._groups.awaits(context, attempt)
        if offer == "waiting":
            return None
        if offer == "withdrawn":
            self._launches.settle(context, attempt, cast(Place, attempt.place))
            return attempt.ending or self._launches.create(attempt)
        if (late := self._groups.overdue(context, attempt)) is not None:
            return late
        if not attempt.is_created:
            ending = self._launches.create(attempt)
            if ending is None or not self._verdict(context, attempt).has_begun:
                return ending
            attempt.is_created, attempt.since = True, {}  # its creation was not confirmed, but its worker runs
        before = dict(attempt.since)
        attempt.since = {}
        try:
            seen = self._explanations.look(attempt)
        except ClusterError as error:
            attempt.since = before
            if not self._launches.lasted(attempt, "lost", self._patience.lost_s):
                return None
            reason = REGION_LOST if self._verdict(context, attempt).has_begun else UNREACHABLE
            return Ending(reason, f"no valid response from it for {self._patience.lost_s:g} s: {error}")
        return self._weigh(context, attempt, seen, before)

    def _weigh(
        self, context: StepHandlerContext, attempt: Attempt, seen: SeenJob | None, before: dict[str, float]
    ) -> Ending | None:
        """The result of a poll; `before` has the time since when each condition of the previous poll lasts."""

        def lasted(what: str, limit_s: float) -> bool:
            attempt.since[what] = before.get(what, self.clock.now())
            return self.clock.now() - attempt.since[what] >= limit_s

        found = self._weighing.outcome(
            attempt, seen, lasted=lasted, has_begun=lambda: self._verdict(context, attempt).has_begun
        )
        if isinstance(found, NoNode):
            self._move(context, attempt, found.message)
            return None
        return found

    def _move(self, context: StepHandlerContext, attempt: Attempt, why: str) -> None:
        """Moves an attempt that found no node to the next place; this is not a retry, since it has not begun."""
        if self._verdict(context, attempt).has_begun:
            return
        self._groups.close(attempt)
        self._leftovers.condemn(attempt)
        home = home_of(context, attempt.step_key)
        old = cast(Place, attempt.place)
        region, hardware = after((old.region, old.hardware), home, cast(Needs, attempt.needs))
        message = f"No node for it in {old.region} on {old.hardware} ({why}): it moves to {region} on {hardware}"
        DagsterEvent.engine_event(attempt.step, message, EngineEventData())
        self._launches.settle(context, attempt, Place(region, hardware, old.memory_factor), move=attempt.move + 1)

    def _end(self, attempt: Attempt, step: IStepContext) -> Iterator[DagsterEvent]:
        """Records that the attempt is withdrawn, so that its worker writes no more, and then ends it."""
        self._attempts.pop(attempt.step_key, None)
        what = f"Deleting Job {attempt.name} in {attempt.region}" if attempt.place else "Ending its process"
        metadata = {WITHDRAWN: MetadataValue.int(attempt.number)}
        yield DagsterEvent.engine_event(step, what, EngineEventData(metadata=metadata))
        if attempt.is_local:
            self._local.end(attempt.step_key)
        elif attempt.place is not None:
            self._groups.close(attempt)
            self._leftovers.condemn(attempt)

    # state of attempts

    def _has_ended(self, plan: PlanOrchestrationContext, attempt: Attempt) -> bool:
        return verdict(plan.instance, plan.run_id, attempt.step_key, attempt=attempt.number).has_ended

    def _known(self, context: StepHandlerContext) -> Attempt | None:
        """The attempt from memory or, after an earlier run pod, from the event log."""
        (step_key,) = cast("list[str]", context.execute_step_args.step_keys_to_execute)
        if step_key not in self._attempts:
            attempt, endings = recalled(context)
            self._explanations.endings.setdefault(step_key, endings)
            if attempt is None:
                return None
            self._attempts[step_key] = attempt
            self._groups.recall(attempt)
        return self._attempts[step_key]

    def _verdict(self, context: StepHandlerContext, attempt: Attempt) -> Verdict:
        return verdict(context.instance, attempt.run_id, attempt.step_key, attempt=attempt.number)
