"""Clusters whose pods are processes of this machine, an API server before each, and a thread that is their time."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from dagster import AssetKey, DagsterInstance, DagsterRun

from sinet_pipelines.regions import REGIONS
from tests.clusters.cluster import Cluster, Pod
from tests.clusters.server import ApiServer, write_kubeconfig

CHECKOUT = Path(__file__).parents[2]
TICK_S = 0.1
# A container runtime starts a process with default signals; `Popen` hands on what this process ignores or blocks.
# The pipe closes with the exec, so that no signal is sent before.
CONTAINER = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
os.set_inheritable(int(sys.argv[1]), False)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def carry_out(clusters, instance: DagsterInstance, *names: str, **patience: float) -> DagsterRun:
    """Runs assets of `routed.py` by the router on these clusters, and returns the run as it ended."""
    from dagster._core.execution.api import execute_run

    run, job = create(clusters, instance, *names, **patience)
    execute_run(job, run, instance)
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def create(clusters, instance: DagsterInstance, *names: str, **patience: float):
    """A run of assets of `routed.py` that has not begun, and its job."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    file = str(Path(__file__).with_name("routed.py"))
    clusters.env["DAGSTER_HOME"] = instance.root_directory  # in the place of the region's config map
    job = ReconstructableRepository.for_file(file, "defs", str(CHECKOUT)).get_reconstructable_job("__ASSET_JOB")
    keys = frozenset(AssetKey([name]) for name in names)
    job = job.get_subset(asset_selection=keys)
    config = {"kubeconfig": str(clusters.kubeconfig), "look_every_s": 1, "patience": {"cleanup_s": 30.0, **patience}}
    run = instance.create_run_for_job(
        job.get_definition(),
        asset_selection=keys,
        run_config={"execution": {"config": config}},
        job_code_origin=job.get_python_origin(),
    )
    return run, job


class PodProcess:
    """The process of a pod's container: its arguments, its environment, its log."""

    reason = ""

    def __init__(self, region: str, pod: Pod, *, folder: Path, env: dict[str, str]) -> None:
        container = pod.spec["containers"][0]
        told = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
        told.pop("DAGSTER_HOME", None)  # a path of the image; `env` has the folder's here
        command = list(container.get("command", [])) + list(container["args"])
        if command[0] == "python":  # as the image has it on its path
            command[:1] = [sys.executable, "-W", "ignore"]
        self._path = folder / f"{region}-{pod.name}.log"
        has_begun, pipe = os.pipe()
        with self._path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", CONTAINER, str(pipe), *command],
                cwd=CHECKOUT,
                env={**env, **told},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(pipe,),
            )
        os.close(pipe)
        os.read(has_begun, 1)
        os.close(has_begun)

    def poll(self) -> int | None:
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        return self._path.read_text(errors="replace")


class Clusters:
    """One cluster and one API server a region, until left."""

    def __init__(self, folder: Path) -> None:
        self.env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "ignore"}
        self._folder = folder / "pods"
        self._folder.mkdir()
        self.clusters = {region.name: Cluster(region.name, now=time.monotonic, start=self._start) for region in REGIONS}
        self.servers = {name: ApiServer(cluster) for name, cluster in self.clusters.items()}
        contexts = {region.cluster.kubeconfig_context: self.servers[region.name].url for region in REGIONS}
        self.kubeconfig = write_kubeconfig(folder / "kubeconfig", contexts)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def _start(self, region: str, pod: Pod) -> PodProcess:
        return PodProcess(region, pod, folder=self._folder, env=self.env)

    def _live(self) -> None:
        while not self._over.wait(TICK_S):
            for cluster in self.clusters.values():
                cluster.advance()

    def __enter__(self) -> "Clusters":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for cluster in self.clusters.values():
            for pod in list(cluster.pods.values()):
                cluster.kill(pod)
        for server in self.servers.values():
            server.close()
