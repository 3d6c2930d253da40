"""Compares a complete run on three clusters with a complete run on one machine: wall time, CPU, pods.

The clusters are those of `tests/clusters`: one API server for each region, real processes as pods. Both kinds of run
alternate, so that a change of the machine's load affects both. `--linger 0` makes a pod for each step.

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
class RunTimes:
    """One complete run: wall seconds, CPU seconds of all its processes, and its number of pods."""

    wall_s: float
    cpu_s: float
    pods: int = 0


def compare(args: argparse.Namespace) -> None:
    """Executes both kinds in turn and prints the ratios."""
    local, routed = [], []
    for number in range(args.rounds):
        turned = (local, routed) if number % 2 == 0 else (routed, local)
        for kind in turned:
            run = run_here if kind is local else run_on_clusters
            with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder:
                kind.append(run(Path(folder), args))
            where = "local" if kind is local else "clusters"
            print(f"{where}: {kind[-1].wall_s:.0f} s, {kind[-1].cpu_s:.0f} CPU s, {kind[-1].pods} pods", flush=True)
    table = measure.Table("sinet run through three clusters beside sinet run on one machine")
    for name, runs in (("one machine", local), ("three clusters", routed)):
        table.add(f"{name}: wall", [one.wall_s for one in runs], unit="s")
        table.add(f"{name}: CPU", [one.cpu_s for one in runs], unit="s")
    table.add("three clusters: pods", [one.pods for one in routed], unit="")
    pairs = list(zip(routed, local, strict=True))
    table.add("clusters / machine, wall", [one.wall_s / other.wall_s for one, other in pairs], unit="x", aim=AIM)
    table.add("clusters / machine, CPU", [one.cpu_s / other.cpu_s for one, other in pairs], unit="x")
    table.print()


def run_here(folder: Path, args: argparse.Namespace) -> RunTimes:
    """The run of `make run`."""
    return _measure(folder, args, {})


def run_on_clusters(folder: Path, args: argparse.Namespace) -> RunTimes:
    """The same through the router: each step in the cluster of its region."""
    from assets.turbofan.evaluation import MODEL
    from sinet_pipelines.cli.orchestrator import CURRENT_HOME
    from sinet_pipelines.deployment.cluster.wanted import object_name
    from sinet_pipelines.inventory.regions import this_inventory
    from tests.clusters.deployments import ServiceProxy
    from tests.clusters.furnish import STEP_INSTANCE
    from tests.clusters.processes import Clusters

    with (
        Clusters(folder) as clusters,
        ServiceProxy(
            clusters.clusters["WEST"], this_inventory().region("WEST").cluster.namespace, object_name(MODEL)
        ) as proxy,
    ):
        registry = str(write_inventory(folder, args.linger, address=proxy.url))
        more = {"SINET_EXECUTOR": "regions", "KUBECONFIG": str(clusters.kubeconfig), "SINET_INVENTORY": registry}
        clusters.env |= {
            "SINET_PROJECT": str(folder / "project"),
            "SINET_INVENTORY": registry,
            "SINET_EXECUTOR": "regions",
        }
        clusters.settings(SINET_HOME=str(folder / "home"))
        instance = (measure.ROOT / "dagster.yaml").read_text().replace(CURRENT_HOME, str(folder / "home"))
        clusters.instance(instance, name=STEP_INSTANCE)
        times = _measure(folder, args, more)
        pods = sum(len(cluster.made) for cluster in clusters.clusters.values())
    return replace(times, pods=pods)


def write_inventory(folder: Path, linger_s: float | None, *, address: str) -> Path:
    """An inventory with this waiting time of the regions' workers and this address of the endpoint."""
    from sinet_pipelines.inventory.regions import this_inventory
    from tests.loopback import free_port

    serving = {"address": address, "http_port": free_port(), "grpc_port": free_port()}
    rows = []
    for region in this_inventory().regions:
        cluster: dict[str, Any] = {} if linger_s is None else {"linger_s": linger_s}
        rows.append(
            {"name": region.name, "cluster": {**cluster, **({"serving": serving} if region.name == "WEST" else {})}}
        )
    file = folder / "inventory.yaml"
    file.write_text(json.dumps({"regions": rows}))  # JSON is YAML
    return file


def _measure(folder: Path, args: argparse.Namespace, more: dict[str, str]) -> RunTimes:
    project = folder / "project"
    project.mkdir()
    for name in LINKED:
        (project / name).symlink_to(measure.ROOT / name)
    environment = _environment(folder, more)
    command = [sys.executable, "-W", "ignore", "-m", "sinet_pipelines.cli"]
    data = ["--data", args.data] if args.data else []
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
        sys.exit(f"the run ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return RunTimes(wall_s, cpu_s)


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    left = ("SINET_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")  # an image has compiled code; this checkout, too
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
    added = {"SINET_PROJECT": str(folder / "project"), "PYTHONPATH": str(measure.ROOT), "PYTHONWARNINGS": "ignore"}
    return {**kept, **added, **more}


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
