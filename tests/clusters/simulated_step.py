"""A step's worker in a pod of a simulation: it begins, takes its time, writes its events, and may be ended early."""

import base64
import zlib
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterEvent, DagsterEventType
from dagster._cli.api import verify_step
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import create_execution_plan, execute_plan_iterator
from dagster._core.execution.context_creation_job import create_context_free_log_manager
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value

from resources.router.execution import TERMINATED_CODE
from resources.router.fence import Fence, fenced
from sinet_pipelines.storage.commits import before_commit
from tests.clusters import hooks
from tests.clusters.cluster import Pod

if TYPE_CHECKING:
    from tests.clusters.simulation import Simulation

LONG_S = 3600  # longer than the deadline of any Job here


class StepProcess:
    """A step's worker in a pod: begins, takes its time, writes its events; it may be asked to end, killed, starved."""

    def __init__(self, simulation: "Simulation", region: str, pod: Pod, args: ExecuteStepArgs | None = None) -> None:
        self.reason = ""
        self._simulation, self._region, self._pod = simulation, region, pod
        env = {one["name"]: one.get("value", "") for one in pod.spec["containers"][0]["env"]}
        packed = env["DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS"]
        self.args = args or deserialize_value(zlib.decompress(base64.b64decode(packed)).decode(), ExecuteStepArgs)
        (self.step_key,) = self.args.step_keys_to_execute
        rng = simulation.rng_of(f"{pod.job}")
        self._begins_at = simulation.now() + rng.uniform(2, 12)
        drawn_s = rng.uniform(5, rng.choice([30, 90, 400]))
        self._ends_at = self._begins_at + (simulation.takes_s or drawn_s)
        if simulation.takes(self.step_key, "long_worker"):
            self._ends_at += LONG_S
        limit_mib = int(pod.spec["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
        self._is_starved = simulation.memory_mib.get(self.step_key, 0) > limit_mib
        self._ignores_term = rng.random() < 0.2
        self.is_silent = simulation.takes(self.step_key, "silent_worker")
        self.is_hung = simulation.takes(self.step_key, "hung_worker")
        self.has_begun = False
        self._code: int | None = None
        self._is_interrupted = False
        number = self.args.known_state.get_retry_state().get_attempt_count(self.step_key)
        self._fence = Fence(
            simulation.instance,
            self.args.run_id,
            self.step_key,
            number,
            job=pod.job,
            is_terminating=lambda: self._is_interrupted,
        )

    def poll(self) -> int | None:
        now = self._simulation.now()
        if self._code is None and not self.has_begun and now >= self._begins_at:
            self._begin()
        if self._code is None and self.has_begun:
            if self._is_starved and now >= (self._begins_at + self._ends_at) / 2:
                self.reason = "OOMKilled"
                self._code = 137
            elif self.is_silent and now >= self._ends_at:
                self._code = 0
            elif not self.is_hung and now >= self._ends_at:
                self._drain()
        return self._code

    def terminate(self) -> None:
        if self._code is not None or self._ignores_term or self.is_hung:
            return
        if not self.has_begun:
            self._code = 143
            return
        self._is_interrupted = True
        self._drain()

    def kill(self) -> None:
        if self._code is None:
            self._code = 137

    def log(self) -> str:
        return f"{self.step_key} in {self._region}\n"

    def work(self, context: dg.AssetExecutionContext) -> None:
        """What the asset's code does."""
        if self._is_interrupted:
            raise DagsterExecutionInterruptedError()
        before_commit()
        self._simulation.done[self.step_key] += 1

    def _begin(self) -> None:
        """Writes what a worker writes first, and looks whether it may go on, as `execution.py` does."""
        instance, run = self._simulation.instance, self._run()
        if self._fence.check():
            self._code = 0
            return
        log = create_context_free_log_manager(instance, run)
        DagsterEvent.step_worker_started(log, run.job_name, message="started", metadata={}, step_key=self.step_key)
        retries = self.args.known_state.get_retry_state()
        is_over = run.is_finished or run.status is dg.DagsterRunStatus.CANCELING
        if is_over or not verify_step(instance, run, retries, [self.step_key]):
            self._code = 0
            return
        self.has_begun = True
        kind = (
            DagsterEventType.STEP_RESTARTED if retries.get_attempt_count(self.step_key) else DagsterEventType.STEP_START
        )
        event = DagsterEvent(kind.value, run.job_name, step_key=self.step_key, message=f"{kind.value} {self.step_key}")
        instance.report_dagster_event(event, run.run_id)

    def _drain(self) -> None:
        """Executes the step; that it began is written already."""
        run, job = self._run(), self._simulation.job
        plan = create_execution_plan(
            job, run_config=run.run_config, step_keys_to_execute=[self.step_key], known_state=self.args.known_state
        )
        hooks.worker = self
        instance, how = self._simulation.instance, {"run_config": run.run_config, "retry_mode": self.args.retry_mode}
        try:
            with fenced(self._fence):
                list(execute_plan_iterator(plan, job, run, instance, **how))
            self._code = TERMINATED_CODE if self._fence.is_interrupted else 0
        except DagsterExecutionInterruptedError:
            self._code = TERMINATED_CODE
        finally:
            hooks.worker = None

    def _run(self) -> dg.DagsterRun:
        run = self._simulation.instance.get_run_by_id(self.args.run_id)
        assert run is not None
        return run
