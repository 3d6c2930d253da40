"""Measures start-up times: loading of the code location, `sinet --help`, and the commands of a finished home.

Each command runs in a new process, including the start of the interpreter; it is compared with the interpreter alone
and with `import dagster`. With `--home` (after a complete `sinet run`), it also measures `sinet status` and a second
`sinet run` without any work; the link to the current home does not change.

    python benchmarks/bench_load.py [--repeats 5] [--home DIR]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import measure

LINKED = ("assets", "resources", "schedules", "sinet_pipelines", "dagster.yaml", "workspace.yaml")


@dataclass(frozen=True)
class Ran:
    """One command in a separate process: wall and CPU seconds, peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Runs a command to its end; a failed command ends the benchmark."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=environment, cwd=environment["HERE"], stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{output.read()[-3000:]}")
    return Ran(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def commands(project: Path, home: Path | None) -> dict[str, list[str]]:
    """The timed commands by name; those for comparison first."""
    python, tools = sys.executable, Path(sys.executable).parent
    timed = {
        "python": [python, "-c", "pass"],
        "import dagster": [python, "-c", "import dagster"],
        "code location": [python, "-W", "ignore", "-c", "import assets.definitions"],
        "dagster definitions validate": [
            *[python, "-W", "ignore", "-m", "dagster", "definitions", "validate"],
            *["-w", str(project / "workspace.yaml")],
        ],
        "sinet --help": [str(tools / "sinet"), "--help"],
    }
    if home is not None:
        timed["sinet status"] = [str(tools / "sinet"), "status", "--home", str(home)]
        timed["second sinet run"] = [str(tools / "sinet"), "run", "--home", str(home)]
    return timed


def compare(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder:
        project = Path(folder) / "project"  # keeps the checkout's own link to its current home
        project.mkdir()
        for name in LINKED:
            (project / name).symlink_to(measure.ROOT / name)
        environment = _environment(project, Path(folder) / "home")
        timed = commands(project, Path(args.home).resolve() if args.home else None)
        for command in timed.values():
            run(command, environment)  # writes bytecode and fills the disk cache
        found = {name: [] for name in timed}
        for _ in range(args.repeats):
            for name, command in timed.items():
                found[name].append(run(command, environment))
    _table(found).print()


def _environment(project: Path, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    added = {"SINET_PROJECT": str(project), "SINET_HOME": str(home), "PYTHONPATH": str(project), "HERE": str(project)}
    return {**kept, **added, "PYTHONWARNINGS": "ignore"}


def _table(found: Mapping[str, list[Ran]]) -> measure.Table:
    aims = {"code location": "< 2", "sinet --help": "< 0.3"}
    peers = {"code location": "import dagster", "sinet --help": "python"}
    table = measure.Table("waiting: fresh processes, start of the interpreter included")
    for name, runs in found.items():
        peak = max(one.peak_mib for one in runs)
        table.add(f"{name}: wall", [one.wall_s for one in runs], unit="s", aim=aims.get(name, ""))
        table.add(f"{name}: CPU", [one.cpu_s for one in runs], unit="s", note=f"peak {peak:.0f} MiB")
    for name, peer in peers.items():
        ratios = [one.wall_s / other.wall_s for one, other in zip(found[name], found[peer], strict=True)]
        table.add(f"{name} / {peer}, wall", ratios, unit="x")
    return table


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={},
        compare=compare,
        options={
            "--repeats": {"type": int, "default": 5},
            "--home": {"help": "a home that `sinet run` has finished"},
        },
    )
