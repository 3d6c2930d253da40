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
    from sinet_pipelines.cli.orchestrator import CURRENT_HOME
    from tests.clusters.furnish import STEP_INSTANCE
    from tests.clusters.processes import Clusters

    with Clusters(folder) as clusters:
        more = {"SINET_EXECUTOR": "regions", "KUBECONFIG": str(clusters.kubeconfig)}
        if said.linger is not None:
            more["SINET_REGISTRY"] = str(write_registry(folder, said.linger))
        clusters.env |= {"SINET_PROJECT": str(folder / "project"), **more}
        clusters.settings(SINET_HOME=str(folder / "home"))
        instance = (measure.ROOT / "dagster.yaml").read_text().replace(CURRENT_HOME, str(folder / "home"))
        clusters.instance(instance, name=STEP_INSTANCE)
        walked = _walk(folder, said, more)
        pods = sum(len(cluster.made) for cluster in clusters.clusters.values())
    return replace(walked, pods=pods)


def write_registry(folder: Path, linger_s: float) -> Path:
    """A registry whose regions' workers wait so long."""
    from sinet_pipelines.regions import REGIONS

    rows = [{"name": one.name, "cluster": {"linger_s": linger_s}} for one in REGIONS]
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
