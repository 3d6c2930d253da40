"""What a region router does with a step: launch it where it belongs, watch its Job, say how it ended.

Nothing here waits inside a call: a Job that could not be created or deleted is tried again at the next look, so that a
region that does not answer delays its own steps alone. Whether a step ended is decided by the event log, read after the
cluster was: a worker writes its last word before its pod ends.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, MetadataValue
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandler, StepHandlerContext

from resources.placement import NEEDS_TAG, REGION_TAG
from resources.router.attempts import (
    Attempt,
    attempt_of,
    home_of,
    metadata_of,
    noted,
    recalled,
    tell_place,
)
from resources.router.clock import Clock, Patience
from resources.router.cluster import OVER_QUOTA, RegionClusters
from resources.router.endings import (
    QUOTA_EXCEEDED,
    REFUSED,
    REGION_LOST,
    UNBOUND,
    UNREACHABLE,
    Ending,
)
from resources.router.explanations import Explanations
from resources.router.fence import TOLD_TO_END, WITHDRAWN
from resources.router.groups import Groups
from resources.router.jobs import RegionJobs
from resources.router.leftovers import Condemned, Leftovers
from resources.router.local import LocalSteps
from resources.router.places import Place, after, days_of, next_place
from resources.router.seen import SeenJob
from resources.router.verdicts import Verdict, verdict
from resources.router.weighing import NoNode, Weighing
from sinet_pipelines.errors import ClusterError, UsageError
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.placement.bindings import grace_s, step_config
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import get_region


class RegionStepHandler(StepHandler):
    """Sends each step to the cluster of its region, keyed by the region's name; cheap ones run beside the run."""

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        per_step: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        patience: Patience | None = None,
    ) -> None:
        super().__init__()
        self._per_step = per_step
        self.clock, self._patience = clock or Clock(), patience or Patience()
        self._clusters = RegionClusters(kubeconfig=kubeconfig, clock=self.clock, patience=self._patience)
        self._explanations = Explanations(self._clusters)
        self._leftovers = Leftovers(self._clusters, self._explanations, clock=self.clock, patience=self._patience)
        self._groups = Groups(
            self._explanations, self._leftovers, per_step=per_step, clock=self.clock, patience=self._patience
        )
        self._weighing = Weighing(self._explanations, patience=self._patience)
        self._jobs: dict[str, RegionJobs] = {}
        self._local = LocalSteps()
        self._attempts: dict[str, Attempt] = {}

    @property
    def name(self) -> str:
        """As the executor says it in the log."""
        return "RegionStepHandler"

    # what the executor asks

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Makes the step's Job in its region, or starts its process; what comes of it is seen at the next look."""
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
        self._settle(context, attempt, place)
        if attempt.ending is None:
            self._create(attempt)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Unhealthy once nothing more will come of the attempt; the reason, the cure, the last lines are its words."""
        context = step_handler_context
        attempt = self._known(context)
        if attempt is None:
            return CheckStepHealthResult.unhealthy("no Job of this step is noted in the log")
        self._groups.clean()
        self._leftovers.clean()
        ending = None if attempt.is_told else self._judge(context, attempt)
        if ending is None or self._verdict(context, attempt).has_ended:
            return CheckStepHealthResult.healthy()
        self._explanations.note(attempt, ending)
        return CheckStepHealthResult.unhealthy(str(ending))

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Asks for the step's Job to go, pending or running; `finish` sees to it that it went."""
        attempt = self._known(step_handler_context)
        if attempt is not None:
            yield from self._end(attempt, step_handler_context.get_step_context(attempt.step_key))

    # what the region executor asks beside that

    def ending_of(self, step_key: str) -> Ending | None:
        """How the step's present attempt ended, as far as the router found out."""
        attempt = self._attempts.get(step_key)
        return attempt.ending if attempt else None

    def metadata_of(self, step_key: str) -> dict[str, MetadataValue]:
        """What a failure's page shows of the step's present attempt beside the failure's words."""
        attempt = self._attempts[step_key]
        return metadata_of(attempt, cast(Ending, attempt.ending))

    def note_event(self, event: DagsterEvent) -> None:
        """The log has an event about a step that is no last word: its worker may have ended on being told to."""
        attempt = self._attempts.get(event.step_key or "")
        told = event.engine_event_data.metadata.get(TOLD_TO_END)
        if attempt is not None and told is not None and told.value == attempt.number:
            attempt.is_interrupted = True

    def ended(self, event: DagsterEvent) -> None:
        """The log has the last word of an attempt: lets its Job go."""
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
        """The run was canceled, or is over: every attempt that has not ended ends, wherever it was launched from."""
        left = list(self._attempts.values())
        known = {attempt.name for attempt in left}
        if plan.resume_from_failure:  # an earlier run pod's Jobs are known by the log alone
            earlier = (attempt for attempt in noted(plan.instance, plan.run_id) if attempt.name not in known)
            left += [attempt for attempt in earlier if not self._has_ended(plan, attempt)]
        steps = plan.plan_data.execution_plan
        for attempt in left:
            step = cast(ExecutionStep, steps.get_step_by_key(attempt.step_key))
            list(self._end(attempt, plan.for_step(step)))

    def finish(self, plan: PlanOrchestrationContext) -> None:
        """Waits until nothing of this run is left to clean up, or names what is."""
        self._local.finish()
        self._groups.finish(plan)
        if plan.resume_from_failure:
            known = noted(plan.instance, plan.run_id)
            at_work = {attempt.name for attempt in known if not self._has_ended(plan, attempt)}  # for the next run pod
            for attempt in known:
                if attempt.name not in at_work:
                    self._leftovers.leave(attempt)
        self._leftovers.finish(plan)

    # an attempt's way

    def _settle(self, context: StepHandlerContext, attempt: Attempt, place: Place, *, move: int = 0) -> None:
        """Gives the attempt a place and the Job for it; not yet created."""
        region = get_region(place.region)
        jobs = self._jobs.setdefault(place.region, RegionJobs(region, per_step=self._per_step))
        needs = cast(Needs, attempt.needs)
        try:
            config = step_config(region, get_hardware(place.hardware), needs, attempt_memory_factor=place.memory_factor)
        except UsageError as error:  # a place named in `may_move_to` that cannot satisfy the needs
            attempt.ending = Ending(REFUSED, str(error))
            return
        attempt.place, attempt.move, attempt.is_created = place, move, False
        attempt.job = jobs.job(context, config=config, move=move)
        attempt.namespace, attempt.name = region.cluster.namespace, attempt.job.metadata.name
        attempt.since, attempt.may_appear_until = {}, 0.0
        self._groups.found(attempt, config)
        tell_place(attempt)

    def _create(self, attempt: Attempt) -> Ending | None:
        before = self._leftovers.of(attempt.step_key)
        if before and not self._may_pass(attempt, before):
            if attempt.move and self._lasted(attempt, "predecessor", self._patience.lost_s):
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
                attempt.may_appear_until = self.clock.now() + self._patience.applied_s
            given_up = self._lasted(attempt, "launch", self._patience.launch_s)
            if not given_up:
                return None
            return Ending(QUOTA_EXCEEDED if OVER_QUOTA in str(error) else UNREACHABLE, str(error))
        attempt.is_created = True
        return None

    def _may_pass(self, attempt: Attempt, before: list[Condemned]) -> bool:
        """Whether the step may start though an earlier Job of it is not gone yet.

        A Job of an earlier attempt may commit no more; it is waited for, for it holds hardware, but not where its
        region does not answer, nor longer than its pod takes to end on a node that is well. A Job that this attempt
        moved from is waiting for a node, so it is soon gone.
        """
        if any(one.attempt is attempt for one in before):
            return False
        if all(self._clusters.get(one.region).down_since is not None for one in before):
            return True
        if not self._lasted(attempt, "predecessor", grace_s(cast(Needs, attempt.needs)) + self._patience.overdue_s):
            return False
        names = ", ".join(one.name for one in before)
        message = f"Attempt {attempt.number + 1} starts though {names} is not gone: a worker of it may commit no more"
        DagsterEvent.engine_event(attempt.step, message, EngineEventData())
        return True

    def _judge(self, context: StepHandlerContext, attempt: Attempt) -> Ending | None:
        """How the attempt ended, by what the cluster shows; None while something may still come of it."""
        if attempt.ending is not None:
            return attempt.ending
        if attempt.is_local:
            return self._local.ending(attempt.step_key)
        offer = self._groups.awaits(context, attempt)
        if offer == "waiting":
            return None
        if offer == "withdrawn":
            self._settle(context, attempt, cast(Place, attempt.place))
            return attempt.ending or self._create(attempt)
        if (late := self._groups.overdue(context, attempt)) is not None:
            return late
        if not attempt.is_created:
            ending = self._create(attempt)
            if ending is None or not self._verdict(context, attempt).has_begun:
                return ending
            attempt.is_created, attempt.since = True, {}  # nobody confirmed it, and its worker is at work
        before = dict(attempt.since)
        attempt.since = {}
        try:
            seen = self._explanations.look(attempt)
        except ClusterError as error:
            attempt.since = before
            if not self._lasted(attempt, "lost", self._patience.lost_s):
                return None
            reason = REGION_LOST if self._verdict(context, attempt).has_begun else UNREACHABLE
            return Ending(reason, f"no sense from it for {self._patience.lost_s:g} s: {error}")
        return self._weigh(context, attempt, seen, before)

    def _weigh(
        self, context: StepHandlerContext, attempt: Attempt, seen: SeenJob | None, before: dict[str, float]
    ) -> Ending | None:
        """What the look means, where `before` says since when what was seen before."""

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
        """Sends an attempt that found no node to the next place, without a retry: it has not begun."""
        if self._verdict(context, attempt).has_begun:
            return
        self._groups.close(attempt)
        self._leftovers.condemn(attempt)
        home = home_of(context, attempt.step_key)
        old = cast(Place, attempt.place)
        region, hardware = after((old.region, old.hardware), home, cast(Needs, attempt.needs))
        message = f"No node for it in {old.region} on {old.hardware} ({why}): it moves to {region} on {hardware}"
        DagsterEvent.engine_event(attempt.step, message, EngineEventData())
        self._settle(context, attempt, Place(region, hardware, old.memory_factor), move=attempt.move + 1)

    def _end(self, attempt: Attempt, step: IStepContext) -> Iterator[DagsterEvent]:
        """Notes that the attempt is withdrawn, by which its worker knows that it may write no more; then ends it."""
        self._attempts.pop(attempt.step_key, None)
        what = f"Deleting Job {attempt.name} in {attempt.region}" if attempt.place else "Ending its process"
        metadata = {WITHDRAWN: MetadataValue.int(attempt.number)}
        yield DagsterEvent.engine_event(step, what, EngineEventData(metadata=metadata))
        if attempt.is_local:
            self._local.end(attempt.step_key)
        elif attempt.place is not None:
            self._groups.close(attempt)
            self._leftovers.condemn(attempt)

    # what is known

    def _has_ended(self, plan: PlanOrchestrationContext, attempt: Attempt) -> bool:
        return verdict(plan.instance, plan.run_id, attempt.step_key, attempt=attempt.number).has_ended

    def _known(self, context: StepHandlerContext) -> Attempt | None:
        """The attempt, by memory or, after another run pod, by the log."""
        (step_key,) = cast("list[str]", context.execute_step_args.step_keys_to_execute)
        if step_key not in self._attempts:
            attempt, endings = recalled(context)
            self._explanations.endings.setdefault(step_key, endings)
            if attempt is None:
                return None
            self._attempts[step_key] = attempt
            self._groups.recall(attempt)
        return self._attempts[step_key]

    def _lasted(self, attempt: Attempt, what: str, limit_s: float) -> bool:
        return self.clock.now() - attempt.since.setdefault(what, self.clock.now()) >= limit_s

    def _verdict(self, context: StepHandlerContext, attempt: Attempt) -> Verdict:
        return verdict(context.instance, attempt.run_id, attempt.step_key, attempt=attempt.number)
