"""Runs of the five-asset graph under a virtual clock, with faults drawn from a seed; the same seed gives the same run.

The executor, the router, the kubernetes client, the sockets and the event log are the real ones. Time passes only when
the executor sleeps; then the clusters do what is due, and the steps in them write their events, as workers would.
"""

import base64
import random
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance
from dagster._cli.api import verify_step
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.api import create_execution_plan, execute_plan_iterator, execute_run, execute_run_iterator
from dagster._core.execution.context_creation_job import create_context_free_log_manager
from dagster._core.execution.plan import active
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import step_delegating_executor as loop
from dagster._core.instance.ref import InstanceRef
from dagster._core.instance.types import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value
from dagster._time import datetime_from_timestamp

from resources.router.clock import Clock, Patience
from resources.router.execution import TOLD_TO_END
from resources.router.executor import RegionExecutor
from resources.router.fence import Fence, fenced
from resources.router.handler import RegionStepHandler
from resources.router.worker import LINGER
from sinet_pipelines.regions import get_region
from sinet_pipelines.storage.commits import before_commit
from tests.clusters import hooks
from tests.clusters.certificates import certificate_of, self_signed
from tests.clusters.cluster import Cluster, Pod
from tests.clusters.ended import LIMIT_S, Ended
from tests.clusters.faults import PLANS, Outage, drawn_faults
from tests.clusters.furnish import RUNNER_TOKEN, enforce_restricted, furnish
from tests.clusters.lingering import LingeringProcess
from tests.clusters.server import ApiServer, Trouble, write_kubeconfig
from tests.clusters.site_faults import REGIONS

STEPS = ("readings", "features", "model", "small_model", "report")  # of `graph.py`, in the order that seeds draw by
PATIENCE = Patience(
    request_s=20,  # of real time, on a busy machine: a hang is a closed connection here
    launch_s=120,
    verdict_s=30,
    image_s=60,
    podless_s=300,
    container_s=300,
    unschedulable_s=60,
    pending_s=900,
    lost_s=300,
)
LOOK_EVERY_S = 10
LONG_S = 3600  # longer than the deadline of any Job here
SLEEP_S = 5.0
STEP_S = 2.5
AFTER_S = 900  # what could still happen happens within this, once the clusters are well again
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class KilledError(BaseException):
    """The run's own process is gone."""


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
            is_told_to_end=lambda: self._is_interrupted,
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
        if self._fence.ask():
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
            self._code = TOLD_TO_END if self._fence.is_interrupted else 0
        except DagsterExecutionInterruptedError:
            self._code = TOLD_TO_END
        finally:
            hooks.worker = None

    def _run(self) -> dg.DagsterRun:
        run = self._simulation.instance.get_run_by_id(self.args.run_id)
        assert run is not None
        return run


class Log(InMemoryEventLogStorage):
    """An event log in memory that takes the start of a step from its worker's first moment alone.

    Who asks for what is new and has asked already is told so without a query: most of a run's time goes there.
    """

    stored = 0
    told: tuple[Any, ...] = ()

    def get_records_for_run(self, run_id: str, cursor: str | None = None, *more: Any, **named: Any) -> Any:
        if (run_id, cursor, self.stored, more, named) == self.told:
            return EventLogConnection(records=[], cursor=str(cursor), has_more=False)
        found = super().get_records_for_run(run_id, cursor, *more, **named)
        self.told = (run_id, found.cursor, self.stored, more, named)
        return found

    def store_event(self, event: EventLogEntry) -> None:
        self.stored += 1
        starts = (DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED)
        if hooks.worker is None or event.dagster_event is None or event.dagster_event.event_type not in starts:
            super().store_event(event)


@dataclass
class Simulation:
    """One run under faults.

    Args:
        seed: what everything is drawn from.
        servers: the API servers, one a region; they are given new clusters.
        instance: where events go.
        faults: kinds of faults; by default one to four, drawn.
    """

    seed: int
    servers: dict[str, ApiServer]
    kubeconfig: Path
    instance: DagsterInstance
    job: Any
    certificates: tuple[Path, Path]  # the one that clients trust, and another
    faults: tuple[str, ...] | None = None
    time_s: float = 1_000_000.0
    done: Counter[str] = field(default_factory=Counter)
    memory_mib: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    outages: dict[str, list[Outage]] = field(default_factory=dict)
    due: list[tuple[float, str, Callable[[], None]]] = field(default_factory=list)
    afflicted: set[tuple[str, str]] = field(default_factory=set)
    dies_after_s: float | None = None  # when the run's own pod is killed; another one takes over
    drained_after_s: float | None = None  # when the run's own pod is told to end by its cluster; the same
    may_resume: bool = False  # run monitoring replaces run pods
    mended: list[Callable[[], None]] = field(default_factory=list)  # what undoes each fault
    takes_s: float = 0.0  # each step's work; 0: drawn
    is_over: bool = False
    is_canceled: bool = False
    is_drained: bool = False

    def __post_init__(self) -> None:
        self.rng, self.haste = random.Random(self.seed), random.Random(f"haste {self.seed}")
        self.clusters = {
            region: Cluster(
                region,
                now=self.now,
                start=self._start,
                start_delay_s=self.rng.uniform(0, 8),
            )
            for region in REGIONS
        }
        for region, server in self.servers.items():
            furnish(self.clusters[region], get_region(region))
            enforce_restricted(self.clusters[region], get_region(region).cluster.namespace)
            self.present(region, is_trusted=True)
            year = self.haste.randint(2016, 2036)  # no two clocks agree: nobody may go by a server's
            self.clusters[region].stamp = f"{year}-06-01T00:00:00Z"
            server.cluster = self.clusters[region]
            server.requests.clear()
            server.gate = lambda method, path, region=region: self._gate(region, method, path)
            self.outages[region] = []
        self.faults = drawn_faults(self.seed) if self.faults is None else self.faults
        for fault in self.faults:
            PLANS[fault](self)

    def _start(self, region: str, pod: Pod) -> Any:
        arguments = pod.spec["containers"][0]["args"]
        step = partial(StepProcess, self, region, pod)
        return LingeringProcess(self, arguments, step) if LINGER in arguments else step()

    @property
    def steps(self) -> list[str]:
        """All steps of the graph."""
        found = sorted(key.to_user_string() for key in self.job.get_definition().asset_layer.executable_asset_keys)
        return list(STEPS) if found == sorted(STEPS) else found

    @property
    def run_id(self) -> str:
        """The run's name, from which the names of its Jobs are made."""
        return f"{self.seed:08d}-0000-4000-8000-000000000000"

    def now(self) -> float:
        return self.time_s

    def passing(self) -> float:
        """What time it is to the router, for which time passes also between two of its calls."""
        if not self.is_over and self.haste.random() < 0.04:
            self.sleep(STEP_S)
        return self.time_s

    def rng_of(self, word: str) -> random.Random:
        return random.Random(f"{self.seed}/{word.rsplit('-', 1)[-1]}/{len(self.trace)}")

    def takes(self, step_key: str, fault: str) -> bool:
        """Whether this fault is meant for the step; it befalls it once."""
        found = (step_key, fault) in self.afflicted
        self.afflicted.discard((step_key, fault))
        return found

    def executor(self) -> RegionExecutor:
        handler = RegionStepHandler(
            kubeconfig=str(self.kubeconfig), clock=Clock(self.passing, self.sleep), patience=PATIENCE
        )
        return RegionExecutor(
            handler,
            retries=RetryMode.ENABLED,
            sleep_seconds=SLEEP_S,
            check_step_health_interval_seconds=LOOK_EVERY_S,
        )

    def sleep(self, seconds: float) -> None:
        """Lets time pass, in small steps, and happen what happens."""
        until = self.time_s + seconds
        if self.time_s - 1_000_000.0 > LIMIT_S:
            raise TimeoutError(f"seed {self.seed} goes on after {LIMIT_S} s of its own time")
        while self.time_s < until:
            self.time_s = min(self.time_s + STEP_S, until)
            for one in [one for one in self.due if one[0] <= self.time_s]:
                self.due.remove(one)
                self.trace.append(f"{self.time_s - 1e6:.0f} {one[1]}")
                one[2]()
            for cluster in self.clusters.values():
                cluster.advance()

    def run(self) -> Ended:
        """Executes the graph to its end, then lets everything recover and looks at what is left."""
        hooks.router = self.executor
        definition = self.job.get_definition()
        if self.instance.has_run(self.run_id):
            self.instance.delete_run(self.run_id)  # another simulation of this seed
        run = self.instance.create_run_for_job(definition, run_id=self.run_id, run_config=QUIET)
        with pytest.MonkeyPatch.context() as patch:
            clock = SimpleNamespace(time=self.now, sleep=self.sleep)
            patch.setattr(loop, "time", clock)
            patch.setattr(loop, "get_current_datetime", lambda: datetime_from_timestamp(self.time_s))
            patch.setattr(active, "time", clock)
            patch.setattr(active, "pop_captured_interrupt", lambda: self.is_canceled or self.is_drained)
            patch.setattr(DagsterInstance, "run_will_resume", lambda *_: self.may_resume or self.is_drained)
            if self.dies_after_s is not None or self.drained_after_s is not None:
                self._execute_until_killed(run) if self.drained_after_s is None else self._execute_until_drained(run)
                left = self.instance.get_run_by_id(self.run_id)
                if left is not None and not left.is_finished:
                    for _ in execute_run_iterator(self.job, left, self.instance, resume_from_failure=True):
                        pass
            else:
                execute_run(self.job, run, self.instance)
        took_s = self.time_s - 1_000_000.0
        unfinished = [job.name for cluster in self.clusters.values() for job in cluster.dangling()]
        self._recover()
        return self._ended(run.run_id, took_s, unfinished)

    def _execute_until_killed(self, run: dg.DagsterRun) -> None:
        """What a run pod does until it is killed: from then on it writes nothing and cleans nothing up."""
        with pytest.MonkeyPatch.context() as patch:

            def die() -> None:
                patch.setattr(DagsterInstance, "handle_new_event", lambda *_, **__: None)
                patch.setattr(RegionStepHandler, "finish", lambda *_: None)
                patch.setattr(RegionStepHandler, "terminate_step", lambda *_: iter(()))
                raise KilledError

            self.at("the run's pod is killed", die, after_s=self.dies_after_s)
            execute_run(self.job, run, self.instance, raise_on_error=False)

    def _execute_until_drained(self, run: dg.DagsterRun) -> None:
        """What a run pod does that is told to end, though nobody canceled its run."""

        def drain() -> None:
            self.is_drained = True

        self.at("the run's pod is drained", drain, after_s=self.drained_after_s)
        execute_run(self.job, run, self.instance, raise_on_error=False)
        self.is_drained = False

    def _recover(self) -> None:
        self.is_over = True
        self.due.clear()
        for mend in self.mended:
            mend()
        for cluster in self.clusters.values():
            cluster.is_dark, cluster.lag_s = False, 0.0
            cluster.without.clear()
            cluster.unpullable.clear()
            cluster.refuses_pods = cluster.mount = cluster.stuck = ""
            for job in cluster.jobs.values():
                if job.is_suspended:
                    cluster.suspend(job, is_suspended=False)
        for _ in range(AFTER_S // 5):
            self.time_s += 5.0
            for cluster in self.clusters.values():
                cluster.advance()

    def _ended(self, run_id: str, took_s: float, unfinished: list[str]) -> Ended:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        materialized: Counter[str] = Counter()
        succeeded: Counter[str] = Counter()
        failures: dict[str, str] = {}
        causes: dict[str, list[str]] = {}
        places: dict[str, list[str]] = {}
        left: list[str] = []
        late: list[str] = []
        ended: set[str | None] = set()
        for entry in self.instance.all_logs(run_id):
            event = entry.dagster_event
            if event is None:
                continue
            if event.is_step_event and not event.is_engine_event and ended & {event.step_key, None}:
                late.append(f"{event.event_type_value} of {event.step_key}")
            if event.event_type in (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE):
                ended.add(event.step_key)
            elif event.event_type is DagsterEventType.PIPELINE_CANCELED:
                ended.add(None)
            if event.event_type is DagsterEventType.ASSET_MATERIALIZATION:
                materialized[str(event.step_key)] += 1
            elif event.event_type is DagsterEventType.STEP_SUCCESS:
                succeeded[str(event.step_key)] += 1
            elif event.event_type is DagsterEventType.STEP_FAILURE:
                error = event.step_failure_data.error
                failures[str(event.step_key)] = error.message if error else ""
            elif event.event_type is DagsterEventType.ENGINE_EVENT:
                noted = event.engine_event_data.metadata
                if "ending" in noted:
                    causes.setdefault(str(event.step_key), []).append(str(noted["ending"].value))
                if "left behind" in noted:
                    left.append(str(noted["left behind"].value))
                if "job" in noted:
                    places.setdefault(str(event.step_key), []).append(
                        f"{noted['region'].value}/{noted['hardware'].value}"
                    )
        dangling = [job.name for cluster in self.clusters.values() for job in cluster.dangling()]
        return Ended(
            self.seed,
            run.status.value,
            materialized,
            succeeded,
            failures,
            causes,
            left,
            [*unfinished, *dangling],
            took_s,
            list(self.faults or ()),
            places,
            self.done,
            late,
            len(self.steps),
        )

    # the requests

    def _gate(self, region: str, method: str, path: str) -> Trouble | None:
        if self.is_over:
            return None
        for outage in self.outages[region]:
            if outage.begins_at <= self.time_s < outage.ends_at and self.rng.random() < outage.share:
                return self._trouble(outage, method)
        return None

    def _trouble(self, outage: Outage, method: str) -> Trouble:
        if outage.kind == "status":
            is_done = outage.status >= 500 and self.rng.random() < 0.3
            return Trouble(status=outage.status, is_done=is_done)
        if outage.kind == "lost":
            return Trouble()
        if outage.kind == "unanswered":
            return Trouble(is_done=True)
        if outage.kind == "late":
            return Trouble(after_s=50)
        way = self.rng.random()
        if way < 0.4:
            return Trouble()
        if way < 0.7 or method == "GET":
            return Trouble(is_done=True)
        return Trouble(after_s=self.rng.uniform(1, 55))

    def at(self, what: str, happen: Callable[[], None], *, after_s: float | None = None) -> None:
        """Lets something happen once, so much later than now."""
        when = self.time_s + (self.rng.uniform(0, 300) if after_s is None else after_s)
        self.due.append((when, what, happen))

    def cancel(self) -> None:
        """What somebody does on the run's page."""
        self.is_canceled = True
        run = self.instance.get_run_by_id(self.run_id)
        assert run is not None
        self.instance.report_run_canceling(run)

    def present(self, region: str, *, is_trusted: bool) -> None:
        """Lets a region's API show the certificate that its clients trust, or another one."""
        self.servers[region].present(self.certificates[0 if is_trusted else 1])

    def disturb(self, region: str, kind: str, *, lasts_s: float) -> None:
        """Lets every request to a region be lost in one way from now on."""
        self.outages[region].append(Outage(self.time_s, self.time_s + lasts_s, kind, 1.0))


@dataclass
class Bench:
    """What simulations share: the servers, the kubeconfig, the instance, the graph."""

    servers: dict[str, ApiServer]
    kubeconfig: Path
    instance: DagsterInstance
    job: Any
    certificates: tuple[Path, Path]

    def simulation(self, seed: int, *, faults: tuple[str, ...] | None = None) -> Simulation:
        shared = (self.servers, self.kubeconfig, self.instance, self.job, self.certificates)
        return Simulation(seed, *shared, faults=faults)

    def close(self) -> None:
        for server in self.servers.values():
            server.close()


def bench(folder: Path, graph: str = "graph.py") -> Bench:
    """Three servers, their kubeconfig, an instance in memory, and the graph of a file beside this one."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    nowhere = Cluster("nowhere", now=lambda: 0.0, start=lambda name, pod: None)  # type: ignore[arg-type,return-value]
    certificates = (self_signed(folder / "trusted.pem"), self_signed(folder / "other.pem"))
    authority = certificate_of(certificates[0], folder / "ca.crt")
    servers = {region: ApiServer(nowhere, certificate=certificates[0]) for region in REGIONS}
    contexts = {get_region(name).cluster.kubeconfig_context: server.url for name, server in servers.items()}
    # workers here share the instance's memory, but their arguments want it to have a name
    instance = DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=LocalArtifactStorage(str(folder)),
        run_storage=InMemoryRunStorage(),
        event_storage=Log(),
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=DefaultRunCoordinator(),
        run_launcher=SyncInMemoryRunLauncher(),
        ref=InstanceRef.from_dir(str(folder)),
    )
    file = str(Path(__file__).with_name(graph))
    job = ReconstructableRepository.for_file(file, "defs", str(Path(__file__).parents[2])).get_reconstructable_job(
        "__ASSET_JOB"
    )
    kubeconfig = write_kubeconfig(folder / "kubeconfig", contexts, token=RUNNER_TOKEN, authority=authority)
    return Bench(servers, kubeconfig, instance, job, certificates)
