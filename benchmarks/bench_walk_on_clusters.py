"""The whole walk through three clusters beside the walk on one machine: wall, CPU, pods.

The clusters are those of `tests/clusters`: an API server a region, real processes as pods. Both kinds of walk take
turns, so that a change of the machine's load meets both. `--linger 0` makes a pod for each step.

    python benchmarks/bench_walk_on_clusters.py [--rounds 1] [--data DIR] [--linger 0]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measure

LINKED = ("assets", "resources", "schedules", "sinet_pipelines", "dagster.yaml", "workspace.yaml")
AIM = "<= 2.5"


@dataclass(frozen=True)
class Walked:
    """One walk: seconds by the wall and by all its processes, and how many pods it took."""

    wall_s: float
    cpu_s: float
    pods: int = 0


def compare(said: argparse.Namespace) -> None:
    """Walks in turn and prints the ratios."""
    local, routed = [], []
    for number in range(said.rounds):
        turned = (local, routed) if number % 2 == 0 else (routed, local)
        for kind in turned:
            walk = walk_here if kind is local else walk_on_clusters
            with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder:
                kind.append(walk(Path(folder), said))
            where = "local" if kind is local else "clusters"
            print(f"{where}: {kind[-1].wall_s:.0f} s, {kind[-1].cpu_s:.0f} CPU s, {kind[-1].pods} pods", flush=True)
    table = measure.Table("the walk through three clusters beside the walk on one machine")
    for name, walks in (("one machine", local), ("three clusters", routed)):
        table.add(f"{name}: wall", [one.wall_s for one in walks], unit="s")
        table.add(f"{name}: CPU", [one.cpu_s for one in walks], unit="s")
    table.add("three clusters: pods", [one.pods for one in routed], unit="")
    pairs = list(zip(routed, local, strict=True))
    table.add("clusters / machine, wall", [one.wall_s / other.wall_s for one, other in pairs], unit="x", aim=AIM)
    table.add("clusters / machine, CPU", [one.cpu_s / other.cpu_s for one, other in pairs], unit="x")
    table.print()


def walk_here(folder: Path, said: argparse.Namespace) -> Walked:
    """The walk of `make run`."""
    return _walk(folder, said, {})


def walk_on_clusters(folder: Path, said: argparse.Namespace) -> Walked:
    """The same by the router: each step in the cluster of its region."""
    from assets.evaluation import MODEL
    from sinet_pipelines.cli.orchestrator import CURRENT_HOME
    from sinet_pipelines.deployment.cluster.wanted import object_name
    from sinet_pipelines.regions import WEST
    from tests.clusters.deployments import ServiceProxy
    from tests.clusters.furnish import STEP_INSTANCE
    from tests.clusters.processes import Clusters

    with (
        Clusters(folder) as clusters,
        ServiceProxy(clusters.clusters["WEST"], WEST.cluster.namespace, object_name(MODEL)) as proxy,
    ):
        registry = str(write_registry(folder, said.linger, address=proxy.url))
        more = {"SINET_EXECUTOR": "regions", "KUBECONFIG": str(clusters.kubeconfig), "SINET_REGISTRY": registry}
        clusters.env |= {
            "SINET_PROJECT": str(folder / "project"),
            "SINET_REGISTRY": registry,
            "SINET_EXECUTOR": "regions",
        }
        clusters.settings(SINET_HOME=str(folder / "home"))
        instance = (measure.ROOT / "dagster.yaml").read_text().replace(CURRENT_HOME, str(folder / "home"))
        clusters.instance(instance, name=STEP_INSTANCE)
        walked = _walk(folder, said, more)
        pods = sum(len(cluster.made) for cluster in clusters.clusters.values())
    return replace(walked, pods=pods)


def write_registry(folder: Path, linger_s: float | None, *, address: str) -> Path:
    """A registry whose regions' workers wait so long, and whose endpoint is reached by this address."""
    from sinet_pipelines.regions import REGIONS
    from tests.loopback import free_port

    serving = {"address": address, "http_port": free_port(), "grpc_port": free_port()}
    rows = []
    for region in REGIONS:
        cluster: dict[str, Any] = {} if linger_s is None else {"linger_s": linger_s}
        rows.append(
            {"name": region.name, "cluster": {**cluster, **({"serving": serving} if region.name == "WEST" else {})}}
        )
    file = folder / "registry.yaml"
    file.write_text(json.dumps({"regions": rows}))  # JSON is YAML
    return file


def _walk(folder: Path, said: argparse.Namespace, more: dict[str, str]) -> Walked:
    project = folder / "project"
    project.mkdir()
    for name in LINKED:
        (project / name).symlink_to(measure.ROOT / name)
    environment = _environment(folder, more)
    command = [sys.executable, "-W", "ignore", "-m", "sinet_pipelines.cli"]
    data = ["--data", said.data] if said.data else []
    cpu_s, started = _children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        [*command, "run", *data, "--home", str(folder / "home"), "--json"],
        cwd=measure.ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    wall_s = time.perf_counter() - started
    subprocess.run(
        [*command, "stop", "--home", str(folder / "home")], env=environment, check=False, capture_output=True
    )
    cpu_s = _children_cpu_s() - cpu_s
    if done.returncode or json.loads(done.stdout)["failed"]:
        sys.exit(f"the walk ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return Walked(wall_s, cpu_s)


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    left = ("SINET_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")  # an image is compiled; so is what is measured
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
    told = {"SINET_PROJECT": str(folder / "project"), "PYTHONPATH": str(measure.ROOT), "PYTHONWARNINGS": "ignore"}
    return {**kept, **told, **more}


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={},
        compare=compare,
        options={
            "--rounds": {"type": int, "default": 1},
            "--data": {"help": "a folder in C-MAPSS format; simulated data if none is given"},
            "--linger": {"type": float, "help": "seconds that a worker waits for its next step; the rows' own if none"},
        },
    )
