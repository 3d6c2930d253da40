"""Clusters whose pods are processes of this machine, an API server before each, and a thread that is their time."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from dagster import AssetKey, DagsterInstance, DagsterRun

from sinet_pipelines.inventory.regions import Region
from tests.clusters.access import OPERATOR_TOKEN
from tests.clusters.certificates import certificate_of, self_signed
from tests.clusters.cluster import Cluster, Pod
from tests.clusters.deployments import Deployments
from tests.clusters.environment import expanded, variables
from tests.clusters.furnish import RUNNER_TOKEN, STEP_INSTANCE, furnish
from tests.clusters.server import ApiServer, write_kubeconfig
from tests.clusters.volumes import mounts_of, token_mount
from tests.inventory import REGIONS

CHECKOUT = Path(__file__).parents[2]
CONTAINER = Path(__file__).with_name("container.py")
TICK_S = 0.1
MACHINE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LANG", "TZ", "TMPDIR")  # of this machine, whatever its image says


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

    clusters.instance(text_of(instance), name=STEP_INSTANCE)
    file = str(Path(__file__).with_name("routed.py"))
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


def text_of(instance: DagsterInstance) -> str:
    """The `dagster.yaml` of an instance with the same storage as this one, and no launcher."""
    ref = instance.get_ref()
    parts = {
        "run_storage": ref.run_storage_data,
        "event_log_storage": ref.event_storage_data,
        "schedule_storage": ref.schedule_storage_data,
        "compute_logs": ref.compute_logs_data,
        "local_artifact_storage": ref.local_artifact_storage_data,
    }
    return yaml.safe_dump(
        {
            name: {"module": part.module_name, "class": part.class_name, "config": yaml.safe_load(part.config_yaml)}
            for name, part in parts.items()
            if part is not None
        }
    )


class PodProcess:
    """The process of a pod's container: its arguments, its environment, its mounts, its log.

    Args:
        pod: whose next container it is.
        command: of the container.
        env: its variables, and no others.
        mounts: its volumes, as `container.py` takes them.
        folder: the pod's own.
    """

    reason = ""

    def __init__(
        self, pod: Pod, *, command: list[str], env: dict[str, str], mounts: list[dict[str, Any]], folder: Path
    ) -> None:
        name = pod.container["name"]
        self._path = folder / f"{name}.log"
        root = folder / f"root-{name}"
        root.mkdir(exist_ok=True)
        spec = {"name": pod.name[:63], "command": command, "env": env, "mounts": mounts, "root": str(root)}
        with tempfile.TemporaryFile("w+") as reported, self._path.open("ab") as log:
            json.dump({**spec, "folder": str(CHECKOUT)}, reported)
            reported.flush()
            reported.seek(0)
            has_begun, ready = os.pipe()
            alive, self._alive = os.pipe()
            fds = (reported.fileno(), ready, alive)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(CONTAINER), *map(str, fds)],
                cwd=folder,
                env={"PATH": os.defpath},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=fds,
            )
            os.close(ready)
            os.close(alive)
        with os.fdopen(has_begun, "rb") as found:
            first, _, _ = found.read().partition(b"\n")
        self._pid = int(first) if first else None
        self._code: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the container's first process, as this machine counts; None where it did not begin."""
        return self._pid

    def poll(self) -> int | None:
        """The exit code of the container; None while it runs."""
        code = self._process.poll()
        if code is not None and self._code is None:
            self._code = code
            os.close(self._alive)
        return self._code

    def terminate(self) -> None:
        """Sends SIGTERM to the container's first process."""
        self._signal(15)

    def kill(self) -> None:
        """Ends the container and everything in it."""
        self._signal(9)
        self._process.wait()
        self.poll()

    def log(self) -> str:
        """What it has written so far."""
        return self._path.read_text(errors="replace")

    def _signal(self, number: int) -> None:
        if self._pid is not None and self._process.poll() is None:
            os.kill(self._pid, number)


class Clusters:
    """One cluster and one API server a region, until left; each is set up as docs/clusters.md says.

    Attributes:
        env: variables of the image, which every container has.
        claims: folders that stand for claims, by name; others have a folder a region.
        authority: the certificate that all API servers show.
        folder: where all of it is.
        kubeconfig: of whoever starts runs, with the documented rights.
    """

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        image = {"PATH": path, "HOME": str(folder / "nobody"), "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "ignore"}
        self.env = image | {name: os.environ[name] for name in MACHINE if name in os.environ}
        self.claims: dict[str, Path] = {}
        self.folder = folder
        for name in ("pods", "claims", "nobody"):
            (folder / name).mkdir()
        self.clusters = {region.name: Cluster(region.name, now=time.monotonic, start=self._start) for region in REGIONS}
        self.authority = self_signed(folder / "authority.pem")
        self.servers = {name: ApiServer(cluster, certificate=self.authority) for name, cluster in self.clusters.items()}
        for region in REGIONS:
            furnish(self.clusters[region.name], region, settings={"SINET_EXECUTOR": "regions"})
            self.clusters[region.name].kubelet.probe = probed
            self.clusters[region.name].controllers.append(Deployments())
        self._certificate = certificate_of(self.authority, folder / "ca.crt")
        self.kubeconfig = self._kubeconfig("kubeconfig", RUNNER_TOKEN)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def _kubeconfig(self, name: str, token: str) -> Path:
        contexts = {region.cluster.kubeconfig_context: self.servers[region.name].url for region in REGIONS}
        return write_kubeconfig(self.folder / name, contexts, token=token, authority=self._certificate)

    def of(self, region: Region, account: str) -> Path:
        """A kubeconfig of a service account of one region's cluster."""
        token = self.clusters[region.name].access.issue(region.cluster.namespace, account)
        return self._kubeconfig(f"{region.name}-{account}", token)

    def of_operator(self) -> Path:
        """A kubeconfig of one who may do everything."""
        return self._kubeconfig("operator", OPERATOR_TOKEN)

    def settings(self, **values: str) -> None:
        """Adds variables to the config map `sinet-settings` of every region."""
        for region in REGIONS:
            objects = self.clusters[region.name].objects
            for name in region.cluster.env_config_maps:
                body = objects.get("configmaps", region.cluster.namespace, name) or {}
                data = {**(body.get("data") or {}), **values}
                objects.put("configmaps", region.cluster.namespace, name, {"data": data})

    def instance(self, text: str, *, name: str) -> None:
        """Puts a `dagster.yaml` into a config map of every region."""
        for region in REGIONS:
            objects = self.clusters[region.name].objects
            objects.put("configmaps", region.cluster.namespace, name, {"data": {"dagster.yaml": text}})

    def _start(self, region: str, pod: Pod) -> PodProcess:
        cluster, container = self.clusters[region], pod.container
        folder = self.folder / "pods" / f"{region}-{pod.name}"
        folder.mkdir(exist_ok=True)
        claimed = self.folder / "claims" / region
        objects = cluster.objects
        mounts = mounts_of(pod, container, objects, folder=folder, claims=self.claims, claimed=claimed)
        if pod.spec.get("automountServiceAccountToken"):
            token = cluster.access.issue(pod.namespace, pod.spec["serviceAccountName"])
            authority = self._certificate.read_bytes()
            mounts.append(token_mount(folder, token=token, authority=authority, namespace=pod.namespace))
        found = variables(pod, container, objects)
        port = str(self.servers[region].port)
        service = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
        service["KUBERNETES_SERVICE_PORT_HTTPS"] = port
        env = {**self.env, "HOSTNAME": pod.name[:63], **service, **found}
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        command = [expanded(word, {**service, **found}) for word in words]
        # a pod has a network of its own, in which every address is its own; here it has an address
        command = [f"--host={pod.ip}" if word == "--host=0.0.0.0" else word for word in command]
        return PodProcess(pod, command=command, env=env, mounts=[one.to_json() for one in mounts], folder=folder)

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
                if pod.process is not None:
                    pod.process.kill()
            for ghost in cluster.ghosts:
                ghost.kill()
        for server in self.servers.values():
            server.close()


def probed(pod: Pod, probe: dict[str, Any]) -> bool:
    """Whether a container's port says that it is ready, as a kubelet asks it."""
    wanted = probe.get("httpGet")
    if wanted is None:
        return True
    port = wanted["port"]
    if isinstance(port, str):
        ports = pod.container.get("ports") or []
        port = next(one["containerPort"] for one in ports if one.get("name") == port)
    headers = {one["name"]: one["value"] for one in wanted.get("httpHeaders") or []}
    request = urllib.request.Request(f"http://{pod.ip}:{port}{wanted.get('path', '/')}", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=probe.get("timeoutSeconds", 1)) as answer:  # noqa: S310 - loopback
            return bool(200 <= answer.status < 400)
    except (urllib.error.URLError, OSError):
        return False
