"""What a region router does with a step: launch it where it belongs, watch its Job, explain its end, clean up after it.

Nothing here waits inside a call: a Job that could not be created or deleted is tried again at the next look, so that a
region that does not answer delays its own steps alone. Whether a step ended is decided by the event log, read after the
cluster was: a worker writes its last word before its pod ends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, MetadataValue
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandler, StepHandlerContext

from resources.placement import HARDWARE_TAG, REGION_TAG
from resources.router.clock import Clock, Patience
from resources.router.cluster import RegionCluster, SeenJob, SeenPod, connect
from resources.router.endings import (
    ERROR,
    IMAGE_PULL,
    JOB_LOST,
    KILLED,
    NO_VERDICT,
    POD_LOST,
    PREEMPTED,
    REASONS,
    REFUSED,
    REGION_LOST,
    UNBOUND,
    UNREACHABLE,
    UNSCHEDULABLE,
    Ending,
)
from resources.router.jobs import RegionJobs
from resources.router.local import LocalSteps
from resources.router.places import Place, after, days_of, next_place
from resources.router.reading import EVENTS, IMAGE_REASONS, why_disturbed, why_failed
from resources.router.verdicts import verdict
from sinet_pipelines.errors import ClusterError, UsageError
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.placement.bindings import step_config
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import get_region

CLEAN_EVERY_S = 2
NEEDS_TAG = "sinet/needs"


@dataclass
class Attempt:
    """One attempt of a step and how far it came: the router's memory, of which log and cluster are the truth."""

    step_key: str
    number: int
    step: IStepContext
    run_id: str
    place: Place | None = None
    needs: Needs | None = None
    job: Any = None
    namespace: str = ""
    name: str = ""
    move: int = 0
    is_created: bool = False
    is_local: bool = False
    may_appear_until: float = 0.0
    since: dict[str, float] = field(default_factory=dict)
    ending: Ending | None = None
    is_told: bool = False  # its ending is in the log
    disturbed: Ending | None = (
        None  # what the cluster was seen to do to it; the pod that shows it may go before it ends
    )
    is_interrupted: bool = False  # its worker ended on being asked to, and knows no more


@dataclass
class Condemned:
    """A Job that has to go, and until when a creation without an answer may still bring it about."""

    attempt: Attempt
    region: str
    namespace: str
    name: str
    until: float
    trouble: str = ""


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
        self._kubeconfig, self._per_step = kubeconfig, per_step
        self._clock, self._patience = clock or Clock(), patience or Patience()
        self._clusters: dict[str, RegionCluster] = {}
        self._jobs: dict[str, RegionJobs] = {}
        self._local = LocalSteps()
        self._attempts: dict[str, Attempt] = {}
        self._endings: dict[str, list[Ending]] = {}
        self._condemned: dict[tuple[str, str, str], Condemned] = {}
        self._leaving: list[tuple[Attempt, float]] = []
        self._cleaned_at = float("-inf")

    @property
    def name(self) -> str:
        """As the executor says it in the log."""
        return "RegionStepHandler"

    # what the executor asks

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Makes the step's Job in its region, or starts its process; what comes of it is seen at the next look."""
        context = step_handler_context
        attempt = self._attempt_of(context)
        tags = context.step_tags[attempt.step_key]
        self._attempts[attempt.step_key] = attempt
        if attempt.number and attempt.step_key not in self._endings:
            self._recall(context, attempt.step_key)
        if REGION_TAG not in tags:
            attempt.ending = Ending(UNBOUND, f"step {attempt.step_key} has no {REGION_TAG} among its tags")
            return
        needs = Needs.from_json(tags[NEEDS_TAG])
        if needs.is_cheap:
            attempt.is_local = True
            yield from self._local.launch(context, attempt.step_key)
            return
        attempt.needs = needs
        home = (tags[REGION_TAG], tags[HARDWARE_TAG])
        endings = self._endings.get(attempt.step_key, [])
        self._settle(context, attempt, next_place(home, needs, endings, days=days_of(context.dagster_run.tags)))
        if attempt.ending is None:
            self._create(attempt)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Unhealthy once nothing more will come of the attempt; the reason, the cure, the last lines are its words."""
        context = step_handler_context
        step_key = context.execute_step_args.step_keys_to_execute[0]  # type: ignore[index]
        attempt = self._attempts.get(step_key) or self._recall(context, step_key)
        if attempt is None:
            return CheckStepHealthResult.unhealthy(f"no Job of step {step_key} is noted in the log")
        self._clean()
        ending = None if attempt.is_told else self._judge(context, attempt)
        if ending is None or self._verdict(context, attempt).has_ended:
            return CheckStepHealthResult.healthy()
        self._note(attempt, ending)
        return CheckStepHealthResult.unhealthy(str(ending))

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Asks for the step's Job to go, pending or running; `finish` sees to it that it went."""
        context = step_handler_context
        step_key = context.execute_step_args.step_keys_to_execute[0]  # type: ignore[index]
        attempt = self._attempts.pop(step_key, None) or self._recall(context, step_key)
        self._attempts.pop(step_key, None)
        if attempt is None:
            return
        if attempt.is_local:
            self._local.end(step_key)
            return
        if attempt.place is None:
            return
        message = f"Deleting Job {attempt.name} in {attempt.place.region}"
        yield DagsterEvent.engine_event(attempt.step, message, EngineEventData())
        self._condemn(attempt)
        self._clean(now=True)

    # what the region executor asks beside that

    def ending_of(self, step_key: str) -> Ending | None:
        """How the step's present attempt ended, as far as the router found out."""
        attempt = self._attempts.get(step_key)
        return attempt.ending if attempt else None

    def metadata_of(self, step_key: str) -> dict[str, MetadataValue]:
        """What a failure's page shows of the step's present attempt beside the failure's words."""
        attempt = self._attempts[step_key]
        return metadata_of(attempt, cast(Ending, attempt.ending))

    def ended(self, event: DagsterEvent) -> None:
        """The log has the last word of an attempt: explains what the worker could not, lets its Job go."""
        step_key = cast(str, event.step_key)
        attempt = self._attempts.pop(step_key, None)
        if attempt is None:
            return
        if attempt.is_local:
            self._local.leave(step_key)
            return
        if attempt.place is None:
            return
        attempt.is_interrupted = attempt.ending is None and _is_interruption(event)
        if attempt.is_interrupted:
            self._explain(attempt)
        if event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            self._explain_at_last(attempt)
            self._condemn(attempt)
            self._clean(now=True)
        else:
            self._leaving.append((attempt, self._clock.now()))

    def finish(self, plan: PlanOrchestrationContext) -> None:
        """Waits until nothing of this run is left to clean up; names what could not be deleted, and how to do it."""
        self._local.finish()
        deadline = self._clock.now() + self._patience.cleanup_s
        while True:
            self._clean(now=True)
            if not (self._leaving or self._condemned) or self._clock.now() >= deadline:
                break
            self._clock.sleep(1.0)
        for left in self._condemned.values():
            context = get_region(left.region).cluster.kubeconfig_context
            command = f"kubectl --context {context} -n {left.namespace} delete job {left.name}"
            why = left.trouble or "it goes slowly"
            message = f"Job {left.name} may be left in {left.region} ({why}); delete it: {command}"
            DagsterEvent.engine_event(plan, message, EngineEventData(metadata={"left behind": left.name}))

    # an attempt's way

    def _attempt_of(self, context: StepHandlerContext) -> Attempt:
        args = context.execute_step_args
        (step_key,) = cast("list[str]", args.step_keys_to_execute)
        known = args.known_state
        number = known.get_retry_state().get_attempt_count(step_key) if known else 0
        return Attempt(step_key, number, context.get_step_context(step_key), args.run_id)

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
        job = jobs.job(context, config=config, move=move)
        attempt.place, attempt.job, attempt.move, attempt.is_created = place, job, move, False
        attempt.namespace, attempt.name = region.cluster.namespace, job.metadata.name
        attempt.since, attempt.may_appear_until = {}, 0.0
        more = f", memory x{place.memory_factor:g}" if place.memory_factor != 1 else ""
        DagsterEvent.engine_event(
            attempt.step,
            f"Attempt {attempt.number + 1} goes to {place.region} on {place.hardware}{more}: Job {attempt.name}",
            EngineEventData(
                metadata={
                    "region": MetadataValue.text(place.region),
                    "hardware": MetadataValue.text(place.hardware),
                    "memory_factor": MetadataValue.float(float(place.memory_factor)),
                    "namespace": MetadataValue.text(attempt.namespace),
                    "job": MetadataValue.text(attempt.name),
                    "attempt": MetadataValue.int(attempt.number),
                    "move": MetadataValue.int(move),
                }
            ),
        )

    def _create(self, attempt: Attempt) -> Ending | None:
        before = [one for one in self._condemned.values() if one.attempt.step_key == attempt.step_key]
        if before and not self._may_pass(attempt, before):
            if attempt.move and self._lasted(attempt, "predecessor", self._patience.lost_s):
                return Ending(
                    UNREACHABLE, f"the Job it moved from, {before[0].name}, cannot be deleted: {before[0].trouble}"
                )
            return None
        place = cast(Place, attempt.place)
        try:
            self._cluster(place.region).create(attempt.namespace, attempt.job)
        except ClusterError as error:
            if error.is_final:
                return Ending(REFUSED, str(error))
            if not error.is_untouched:
                attempt.may_appear_until = self._clock.now() + self._patience.applied_s
            given_up = self._lasted(attempt, "launch", self._patience.launch_s)
            return Ending(UNREACHABLE, str(error)) if given_up else None
        attempt.is_created = True
        return None

    def _may_pass(self, attempt: Attempt, before: list[Condemned]) -> bool:
        """Whether the step may start though an earlier Job of it is not gone yet.

        A Job of an earlier attempt has said its last word, and its pod would be refused at its start; it is waited for,
        for it holds hardware, but not where its region does not answer. A Job that this attempt moved from has said
        nothing yet, so it must be gone.
        """
        if any(one.attempt is attempt for one in before):
            return False
        is_down = all(self._cluster(one.region).down_since is not None for one in before)
        return is_down or self._lasted(attempt, "predecessor", self._patience.launch_s)

    def _judge(self, context: StepHandlerContext, attempt: Attempt) -> Ending | None:
        """How the attempt ended, by what the cluster shows; None while something may still come of it."""
        if attempt.ending is not None:
            return attempt.ending
        if attempt.is_local:
            return self._local.ending(attempt.step_key)
        if not attempt.is_created:
            ending = self._create(attempt)
            if ending is None or not self._verdict(context, attempt).has_begun:
                return ending
            attempt.is_created, attempt.since = True, {}  # nobody confirmed it, and its worker is at work
        before = dict(attempt.since)
        attempt.since = {}
        try:
            seen = self._look(attempt)
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
        def lasted(what: str, limit_s: float) -> bool:
            attempt.since[what] = before.get(what, self._clock.now())
            return self._clock.now() - attempt.since[what] >= limit_s

        patience = self._patience
        if seen is None:
            if not lasted("gone", patience.verdict_s):
                return None
            return self._better(attempt, Ending(JOB_LOST, f"Job {attempt.name} is not there"))
        if seen.is_failed:
            reason, message = why_failed(seen)
            return self._better(attempt, Ending(reason, message, self._last_lines(attempt, seen)))
        if seen.is_complete:
            silent = lasted("silent", patience.verdict_s)
            message = f"Job {attempt.name} is complete"
            return Ending(NO_VERDICT, message, self._last_lines(attempt, seen)) if silent else None
        if not seen.has_live_pods:
            return self._weigh_podless(context, attempt, seen, lasted)
        return self._weigh_pod(context, attempt, next(pod for pod in seen.pods if pod.is_live), lasted)

    def _weigh_podless(
        self, context: StepHandlerContext, attempt: Attempt, seen: SeenJob, lasted: Any
    ) -> Ending | None:
        if seen.is_suspended and self._verdict(context, attempt).has_begun:
            taken = lasted("suspended", self._patience.verdict_s)
            return Ending(PREEMPTED, "its queue suspended the Job after it had begun") if taken else None
        if lasted("podless", self._patience.pending_s):
            where = "waits in its queue" if seen.is_suspended else "has no pod"
            return Ending(UNSCHEDULABLE, f"Job {attempt.name} {where} for {self._patience.pending_s:g} s")
        return None

    def _weigh_pod(self, context: StepHandlerContext, attempt: Attempt, pod: SeenPod, lasted: Any) -> Ending | None:
        if pod.waiting.startswith(IMAGE_REASONS):
            return Ending(IMAGE_PULL, pod.waiting) if lasted("image", self._patience.image_s) else None
        if pod.phase != "Pending" or not pod.unschedulable:
            return None
        needs = cast(Needs, attempt.needs)
        if needs.may_move_to and lasted("unschedulable", self._patience.unschedulable_s):
            self._move(context, attempt, pod.unschedulable)
            return None
        return Ending(UNSCHEDULABLE, pod.unschedulable) if lasted("pending", self._patience.pending_s) else None

    def _move(self, context: StepHandlerContext, attempt: Attempt, why: str) -> None:
        """Sends an attempt that found no node to the next place, without a retry: it has not begun."""
        if self._verdict(context, attempt).has_begun:
            return
        self._condemn(attempt)
        self._clean(now=True)
        tags = context.step_tags[attempt.step_key]
        home = (tags[REGION_TAG], tags[HARDWARE_TAG])
        old = cast(Place, attempt.place)
        region, hardware = after((old.region, old.hardware), home, cast(Needs, attempt.needs))
        message = f"No node for it in {old.region} on {old.hardware} ({why}): it moves to {region} on {hardware}"
        DagsterEvent.engine_event(attempt.step, message, EngineEventData())
        self._settle(context, attempt, Place(region, hardware, old.memory_factor), move=attempt.move + 1)

    def _explain(self, attempt: Attempt) -> None:
        """Says what the cluster did to a worker that ended on being asked to, which is all the worker knows."""
        try:
            self._look(attempt)
        except ClusterError:
            return  # it is tried again, until the Job is left to itself
        if attempt.disturbed is not None and attempt.disturbed.reason is not POD_LOST:
            self._note(attempt, attempt.disturbed)

    def _explain_at_last(self, attempt: Attempt) -> None:
        """The same, when there will be no other look at its Job."""
        if attempt.is_interrupted and not attempt.is_told:
            message = "its worker was asked to end, and its cluster does not say why"
            self._note(attempt, self._better(attempt, Ending(KILLED, message)))

    def _better(self, attempt: Attempt, ending: Ending) -> Ending:
        """The ending as the cluster's own words explain it, where a Job or pod that is gone explains little."""
        if ending.reason not in (POD_LOST, JOB_LOST, KILLED, ERROR):
            return ending
        if attempt.disturbed is not None and attempt.disturbed.reason is not POD_LOST:
            return attempt.disturbed
        try:
            told = self._cluster(cast(Place, attempt.place).region).told_of(attempt.namespace, attempt.name)
        except ClusterError:
            told = None
        if told is None:
            return attempt.disturbed or ending
        lines = attempt.disturbed.log if attempt.disturbed else ending.log
        return Ending(EVENTS[told[0]], told[1], lines)

    def _look(self, attempt: Attempt) -> SeenJob | None:
        """The attempt's Job; what is being done to it is remembered, since the pod that shows it may soon be gone."""
        seen = self._cluster(cast(Place, attempt.place).region).look(attempt.namespace, attempt.name)
        found = why_disturbed(seen) if seen else None
        if seen and found and (attempt.disturbed is None or attempt.disturbed.reason is POD_LOST is not found[0]):
            attempt.disturbed = Ending(*found, self._last_lines(attempt, seen))
        return seen

    def _note(self, attempt: Attempt, ending: Ending) -> None:
        attempt.ending, attempt.is_told = ending, True
        self._endings.setdefault(attempt.step_key, []).append(ending)
        where = f" in {attempt.place.region} on {attempt.place.hardware}" if attempt.place else ""
        DagsterEvent.engine_event(
            attempt.step,
            f"Attempt {attempt.number + 1}{where} ended. {ending}",
            EngineEventData(metadata=metadata_of(attempt, ending)),
        )

    # cleaning up

    def _condemn(self, attempt: Attempt) -> None:
        place = cast(Place, attempt.place)
        if not attempt.is_created and not attempt.may_appear_until:
            return  # it was never asked for, or certainly refused
        key = (place.region, attempt.namespace, attempt.name)
        self._condemned[key] = Condemned(attempt, *key, until=attempt.may_appear_until)

    def _clean(self, *, now: bool = False) -> None:
        """Deletes what has to go, as far as its regions answer."""
        if not now and self._clock.now() - self._cleaned_at < CLEAN_EVERY_S:
            return
        self._cleaned_at = self._clock.now()
        self._leaving = [(attempt, since) for attempt, since in self._leaving if self._stays(attempt, since)]
        for key, one in list(self._condemned.items()):
            try:
                gone = self._cluster(one.region).delete(one.namespace, one.name)
            except ClusterError as error:
                one.trouble = str(error)
                continue
            if gone and self._clock.now() >= one.until:
                del self._condemned[key]

    def _stays(self, attempt: Attempt, since: float) -> bool:
        """Whether a Job whose step said its last word has still to be seen to its end."""
        if not attempt.is_created:  # its creation was never confirmed
            self._explain_at_last(attempt)
            self._condemn(attempt)
            return False
        try:
            seen, answers = self._look(attempt), True
        except ClusterError:
            seen, answers = None, False
        if attempt.is_interrupted and not attempt.is_told and attempt.disturbed is not None:
            self._note(attempt, attempt.disturbed)
        if answers and (seen is None or seen.is_finished):
            self._explain_at_last(attempt)
            return False
        if self._clock.now() - since < self._patience.farewell_s and not (seen and seen.is_suspended):
            return True
        self._explain_at_last(attempt)
        self._condemn(attempt)
        return False

    # what is known

    def _cluster(self, region: str) -> RegionCluster:
        if region not in self._clusters:
            self._clusters[region] = connect(
                get_region(region), kubeconfig=self._kubeconfig, clock=self._clock, patience=self._patience
            )
        return self._clusters[region]

    def _lasted(self, attempt: Attempt, what: str, limit_s: float) -> bool:
        return self._clock.now() - attempt.since.setdefault(what, self._clock.now()) >= limit_s

    def _verdict(self, context: StepHandlerContext, attempt: Attempt) -> Any:
        return verdict(context.instance, attempt.run_id, attempt.step_key, attempt=attempt.number)

    def _last_lines(self, attempt: Attempt, seen: SeenJob) -> tuple[str, ...]:
        if not seen.pods:
            return ()
        return self._cluster(cast(Place, attempt.place).region).last_lines(attempt.namespace, seen.pods[-1].name)

    def _recall(self, context: StepHandlerContext, step_key: str) -> Attempt | None:
        """The attempt as an earlier run pod noted it in the log, with the endings before it."""
        attempt, found = self._attempt_of(context), False
        self._endings[step_key] = endings = []
        for entry in context.instance.all_logs(attempt.run_id, of_type=DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            if event is None or event.step_key != step_key:
                continue
            noted = event.engine_event_data.metadata
            if "ending" in noted:
                endings.append(Ending(REASONS[str(noted["ending"].value)], str(noted["found"].value)))
            if "job" in noted and noted["attempt"].value == attempt.number:
                said: dict[str, Any] = {name: entry.value for name, entry in noted.items()}
                attempt.place = Place(said["region"], said["hardware"], said["memory_factor"])
                attempt.namespace, attempt.name, attempt.move = said["namespace"], said["job"], said["move"]
                attempt.is_created = found = True
        if not found:
            return None
        attempt.needs = Needs.from_json(context.step_tags[step_key][NEEDS_TAG])
        self._attempts[step_key] = attempt
        return attempt


def _is_interruption(event: DagsterEvent) -> bool:
    if event.event_type is DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
    elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
        error = event.step_retry_data.error
    else:
        return False
    while error is not None and error.cls_name != DagsterExecutionInterruptedError.__name__:
        error = error.cause  # a retry wraps what it is for
    return error is not None


def metadata_of(attempt: Attempt, ending: Ending) -> dict[str, MetadataValue]:
    """What a failure's page shows beside its words: the reason, the place, the Job, the last lines."""
    place = attempt.place
    shown: dict[str, Any] = {
        "ending": MetadataValue.text(ending.reason.name),
        "found": MetadataValue.text(ending.message),
        "cure": MetadataValue.text(ending.reason.cure),
    }
    if place is not None:
        shown |= {
            "region": MetadataValue.text(place.region),
            "hardware": MetadataValue.text(place.hardware),
            "Kubernetes Job": MetadataValue.text(f"{attempt.namespace}/{attempt.name}"),
        }
    if ending.log:
        shown["last lines"] = MetadataValue.md("```\n" + "\n".join(ending.log) + "\n```")
    return cast(dict[str, MetadataValue], shown)
