"""What simulations share: API servers, a kubeconfig, an instance in memory, and the graph that they execute."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import DagsterEventType, DagsterInstance
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.instance.types import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage

from tests.clusters import hooks
from tests.clusters.certificates import certificate_of, self_signed
from tests.clusters.cluster import Cluster
from tests.clusters.furnish import RUNNER_TOKEN
from tests.clusters.server import ApiServer, write_kubeconfig
from tests.clusters.simulation import Simulation
from tests.clusters.site_faults import REGIONS
from tests.inventory import get_region


class Log(InMemoryEventLogStorage):
    """An event log in memory that takes the start of a step from its worker's first moment alone.

    Who asks for what is new and has asked already is told so without a query: most of a run's time goes there.
    """

    stored = 0
    reported: tuple[Any, ...] = ()

    def get_records_for_run(self, run_id: str, cursor: str | None = None, *more: Any, **named: Any) -> Any:
        if (run_id, cursor, self.stored, more, named) == self.reported:
            return EventLogConnection(records=[], cursor=str(cursor), has_more=False)
        found = super().get_records_for_run(run_id, cursor, *more, **named)
        self.reported = (run_id, found.cursor, self.stored, more, named)
        return found

    def store_event(self, event: EventLogEntry) -> None:
        self.stored += 1
        starts = (DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED)
        if hooks.worker is None or event.dagster_event is None or event.dagster_event.event_type not in starts:
            super().store_event(event)


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
