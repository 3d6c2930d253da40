"""Runs of the five-asset graph under a virtual clock, with faults drawn from a seed; the same seed gives the same run.

The executor, the router, the kubernetes client, the sockets and the event log are the real ones. Time passes only when
the executor sleeps; then the clusters do what is due, and the steps in them write their events, as workers would.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from dagster._core.execution.retries import RetryMode

from resources.router.clock import Clock, Patience
from resources.router.executor import RegionExecutor
from resources.router.handler import RegionStepHandler
from resources.router.worker import LINGER
from tests.clusters import hooks, run_pods
from tests.clusters.api_outages import Outage, trouble_of
from tests.clusters.cluster import Cluster, Pod
from tests.clusters.ended import LIMIT_S, Ended
from tests.clusters.faults import PLANS, drawn_faults
from tests.clusters.furnish import enforce_restricted, furnish
from tests.clusters.lingering import LingeringProcess
from tests.clusters.server import ApiServer, Trouble
from tests.clusters.simulated_step import StepProcess
from tests.clusters.site_faults import REGIONS
from tests.clusters.written import read_events
from tests.inventory import get_region

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
SLEEP_S = 5.0
STEP_S = 2.5
AFTER_S = 900  # what could still happen happens within this, once the clusters are well again
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


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
    joined_after: int | None = None  # events of the run's own pod, when another takes over; the first one works on
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
        with run_pods.virtual_clock(self):
            run_pods.execute(self, run)
        took_s = self.time_s - 1_000_000.0
        unfinished = [job.name for cluster in self.clusters.values() for job in cluster.dangling()]
        self._recover()
        return self._ended(run.run_id, took_s, unfinished)

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
        written = read_events(self.instance, run_id)
        dangling = [job.name for cluster in self.clusters.values() for job in cluster.dangling()]
        return Ended(
            self.seed,
            run.status.value,
            written.materialized,
            written.succeeded,
            written.failures,
            written.causes,
            written.left,
            [*unfinished, *dangling],
            took_s,
            list(self.faults or ()),
            written.places,
            self.done,
            written.late,
            len(self.steps),
        )

    # the requests

    def _gate(self, region: str, method: str, path: str) -> Trouble | None:
        if self.is_over:
            return None
        for outage in self.outages[region]:
            if outage.begins_at <= self.time_s < outage.ends_at and self.rng.random() < outage.share:
                return trouble_of(outage, method, self.rng)
        return None

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
