"""The executor behind `region_router`: one run, whose steps execute in the clusters of their regions."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.execution.plan.objects import StepFailureData, StepRetryData, UserFailureData
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._utils.error import SerializableErrorInfo

from resources.router.endings import ERROR
from resources.router.handler import RegionStepHandler
from resources.router.pools import make_pools
from resources.router.retries import RETRIES

NO_RETRIES = dg.RetryPolicy(max_retries=0)  # a worker that crashes by itself crashes again
ASK_EVERY_S = 15  # whether the run was ended from outside
TERMINAL = (
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
)


class RegionExecutor(StepDelegatingExecutor):
    """The stock delegating executor, which also knows why an attempt ended and cleans up when the run ends."""

    def __init__(self, handler: RegionStepHandler, **options: Any) -> None:
        super().__init__(handler, should_verify_step=True, **options)
        self._regions = handler
        self._plan: PlanOrchestrationContext | None = None
        self._is_taking_over = False
        self._under_way: set[str] = set()
        self._asked_at = float("-inf")

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Executes the plan; however it ends, no Job of it is left that could be deleted.

        Steps go on where another run pod will take the run over; but not those of a run that was canceled, which the
        stock executor leaves as well as soon as runs may be resumed.
        """
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
        """The new events, without last words that come twice: the stock loop breaks off the run at the second one."""
        self._require_wanted(instance, run_id)
        kept = []
        for event in self._new_events(instance, run_id, seen_storage_ids):
            if event.event_type is DagsterEventType.ENGINE_EVENT and event.step_key is not None:
                self._regions.note_event(event)
            if event.event_type is DagsterEventType.STEP_WORKER_STARTING:
                self._under_way.add(cast(str, event.step_key))
            if event.event_type in TERMINAL and event.step_key is not None:
                if event.step_key not in self._under_way:
                    self._drop(event)
                    continue
                self._under_way.discard(event.step_key)
                self._regions.ended(event)
            kept.append(event)
        return kept

    def _require_wanted(self, instance: DagsterInstance, run_id: str) -> None:
        """Nothing, while the run goes on; asked now and then.

        Raises:
            DagsterExecutionInterruptedError: somebody, or run monitoring, has ended the run from outside.
        """
        now = self._regions.clock.now()
        if now - self._asked_at < ASK_EVERY_S:
            return
        self._asked_at = now
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            raise DagsterExecutionInterruptedError(f"run {run_id} was ended from outside: its steps end as well")

    def _new_events(self, instance: DagsterInstance, run_id: str, seen_storage_ids: set[int]) -> list[DagsterEvent]:
        """What is new; all of it when a run pod takes over, where the stock loop takes a thousand events for all."""
        events = list(super()._pop_events(instance, run_id, seen_storage_ids))
        if self._is_taking_over:
            self._is_taking_over = False
            while more := super()._pop_events(instance, run_id, seen_storage_ids):
                events.extend(more)
        return without_past_waits(events)

    def _drop(self, event: DagsterEvent) -> None:
        message = f"A late {event.event_type_value} of {event.step_key} is passed over: its attempt had ended already"
        DagsterEvent.engine_event(cast(PlanOrchestrationContext, self._plan), message, EngineEventData())

    def log_failure_or_retry_event_after_error(
        self, step_context: IStepContext, err_info: SerializableErrorInfo, known_state: KnownExecutionState
    ) -> DagsterEvent:
        """Another attempt where one may help, by the asset's own retry policy or the router's; else a named failure."""
        step_key = step_context.step.key
        ending = self._regions.ending_of(step_key)
        if ending is None:
            return super().log_failure_or_retry_event_after_error(step_context, err_info, known_state)
        if step_key not in self._under_way:  # it ended before it was launched: the log has no start of it yet
            self._under_way.add(step_key)
        policy = step_context.op_retry_policy or (NO_RETRIES if ending.reason is ERROR else RETRIES)
        attempts = known_state.get_retry_state().get_attempt_count(step_key)
        if ending.reason.is_retried and not step_context.retry_mode.disabled and attempts < policy.max_retries:
            wait_s = policy.calculate_delay(attempts + 1)
            return DagsterEvent.step_retry_event(step_context, StepRetryData(error=err_info, seconds_to_wait=wait_s))
        shown = UserFailureData(ending.reason.name, ending.message, self._regions.metadata_of(step_key))
        return DagsterEvent.step_failure_event(step_context, StepFailureData(err_info, shown))


def without_past_waits(events: Sequence[DagsterEvent]) -> list[DagsterEvent]:
    """The events, with no wait left of a retry that was launched since.

    A run pod that takes over replays its predecessor's events; the stock replay would wait anew for each retry, and
    break off the run at the next event of the step.
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
