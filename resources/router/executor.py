"""The executor behind `region_router`: executes one run, whose steps run in the clusters of their regions."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance

from resources.dagster_private import (
    DagsterExecutionInterruptedError,
    EngineEventData,
    ExecutionPlan,
    IStepContext,
    KnownExecutionState,
    PlanOrchestrationContext,
    SerializableErrorInfo,
    StepDelegatingExecutor,
    StepFailureData,
    StepRetryData,
    UserFailureData,
)
from resources.router.database import wait_for_database
from resources.router.endings import ERROR
from resources.router.handler import RegionStepHandler
from resources.router.pools import make_pools
from resources.router.retries import RETRIES

NO_RETRIES = dg.RetryPolicy(max_retries=0)  # a worker that crashes by itself crashes again
CHECK_EVERY_S = 15  # between two checks whether the run was ended from outside
TERMINAL = (
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
)


class RegionExecutor(StepDelegatingExecutor):
    """Dagster's delegating executor, which also finds why an attempt ended and deletes Jobs when the run ends."""

    def __init__(self, handler: RegionStepHandler, **options: Any) -> None:
        super().__init__(handler, should_verify_step=True, **options)
        self._regions = handler
        self._plan: PlanOrchestrationContext | None = None
        self._is_taking_over = False
        self._under_way: set[str] = set()
        self._taken_over: set[str] = set()  # steps that were in progress when this run pod took over
        self._held: list[DagsterEvent] = []  # final events of steps that this run pod has not launched yet
        self._checked_at = float("-inf")

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Executes the plan; at the end no Job is left that could be deleted.

        Steps continue where another run pod will take over the run. Steps of a cancelled run do not, although Dagster's
        executor leaves them running when runs may be resumed.
        """
        wait_for_database()
        make_pools(plan_context.instance, [step.pool for step in execution_plan.steps if step.pool])
        self._plan, self._is_taking_over = plan_context, plan_context.resume_from_failure
        try:
            yield from super().execute(plan_context, execution_plan)
        finally:
            run = plan_context.instance.get_run_by_id(plan_context.run_id)
            if run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING:
                self._regions.withdraw(plan_context)
            self._regions.finish(plan_context)

    def _pop_events(self, instance: DagsterInstance, run_id: str, seen_storage_ids: set[int]) -> Sequence[DagsterEvent]:
        """The new events without repeated final events, at the second of which Dagster's loop would abort the run.

        The loop also aborts at the final event of a step that it has not launched. Such an event comes from another run
        pod of this run, which still runs on a node that its cluster has lost. The event is held until this run pod
        launches the step too. That creates the same Job, whose worker does not start a step that has ended.
        """
        self._require_wanted(instance, run_id)
        kept = []
        is_replay, held, self._held = self._is_taking_over, self._held, []
        for event in (*self._new_events(instance, run_id, seen_storage_ids), *held):
            if event.event_type is DagsterEventType.ENGINE_EVENT and event.step_key is not None:
                self._regions.note_event(event)
            if event.event_type is DagsterEventType.STEP_WORKER_STARTING:
                self._under_way.add(cast(str, event.step_key))
            if event.event_type in TERMINAL and event.step_key is not None:
                if event.step_key not in self._under_way:
                    self._drop(event)
                    continue
                if not (is_replay or event.step_key in self._taken_over or self._regions.has_launched(event.step_key)):
                    self._held.append(event)
                    continue
                self._under_way.discard(event.step_key)
                self._taken_over.discard(event.step_key)
                self._regions.ended(event)
            kept.append(event)
        if is_replay:
            self._taken_over = set(self._under_way)
        return kept

    def _require_wanted(self, instance: DagsterInstance, run_id: str) -> None:
        """Checks every `CHECK_EVERY_S` seconds that the run goes on.

        Raises:
            DagsterExecutionInterruptedError: a person, or run monitoring, has ended the run from outside.
        """
        now = self._regions.clock.now()
        if now - self._checked_at < CHECK_EVERY_S:
            return
        self._checked_at = now
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            raise DagsterExecutionInterruptedError(f"run {run_id} was ended from outside: its steps end as well")

    def _new_events(self, instance: DagsterInstance, run_id: str, seen_storage_ids: set[int]) -> list[DagsterEvent]:
        """The new events; all of them when a run pod takes over, where Dagster's loop reads only the first thousand."""
        events = list(super()._pop_events(instance, run_id, seen_storage_ids))
        if self._is_taking_over:
            self._is_taking_over = False
            while more := super()._pop_events(instance, run_id, seen_storage_ids):
                events.extend(more)
        return without_past_waits(events)

    def _drop(self, event: DagsterEvent) -> None:
        message = f"A late {event.event_type_value} of {event.step_key} is ignored: its attempt had ended already"
        DagsterEvent.engine_event(cast(PlanOrchestrationContext, self._plan), message, EngineEventData())

    def log_failure_or_retry_event_after_error(
        self, step_context: IStepContext, err_info: SerializableErrorInfo, known_state: KnownExecutionState
    ) -> DagsterEvent:
        """A retry where one may help, by the retry policy of the asset or the router; or a failure with its reason."""
        step_key = step_context.step.key
        ending = self._regions.ending_of(step_key)
        if ending is None:
            return super().log_failure_or_retry_event_after_error(step_context, err_info, known_state)
        if step_key not in self._under_way:  # it ended before its launch: the event log has no start of it yet
            self._under_way.add(step_key)
        policy = step_context.op_retry_policy or (NO_RETRIES if ending.reason is ERROR else RETRIES)
        attempts = known_state.get_retry_state().get_attempt_count(step_key)
        if ending.reason.is_retried and not step_context.retry_mode.disabled and attempts < policy.max_retries:
            wait_s = policy.calculate_delay(attempts + 1)
            return DagsterEvent.step_retry_event(step_context, StepRetryData(error=err_info, seconds_to_wait=wait_s))
        shown = UserFailureData(ending.reason.name, ending.message, self._regions.metadata_of(step_key))
        return DagsterEvent.step_failure_event(step_context, StepFailureData(err_info, shown))


def without_past_waits(events: Sequence[DagsterEvent]) -> list[DagsterEvent]:
    """The events without the waits of retries that were launched since.

    A run pod that takes over replays the events of its predecessor. Dagster's replay would wait again for each retry,
    and abort the run at the next event of the step.
    """
    replayed: list[DagsterEvent] = []
    launched: set[str | None] = set()
    for event in reversed(events):
        if event.event_type is DagsterEventType.STEP_WORKER_STARTING:
            launched.add(event.step_key)
        elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY and event.step_key in launched:
            event = event._replace(event_specific_data=StepRetryData(error=event.step_retry_data.error))
        replayed.append(event)
    return replayed[::-1]
