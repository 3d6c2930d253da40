"""Measures what `sinet ui` uses while nothing happens: CPU of each process, ticks a minute, growth of the databases.

Starts `sinet ui` on a home that `sinet run` has finished, waits until the first evaluations end, then measures, and
ends the UI by its process id; the model servers of the home continue. Without `--home` it makes a home of `milling` and
ends all that it started. The CPU time of a process includes child processes that ended meanwhile.

    python benchmarks/bench_idle.py [--home DIR] [--seconds 120] [--repeats 3] [--settle 120]
"""

import argparse
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

import measure
import psutil

AIM = "<= 2"  # per cent of one core, all processes together
READY_S = 600  # until both pages respond
READY = "ctrl-c here"  # `sinet ui` prints this when both pages respond
#: Roles by words of the command line, in this order: the first one that has them all.
ROLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("model server", ("sinet_pipelines.deployment.server",)),
    ("supervisor of the model server", ("sinet_pipelines.deployment.supervisor",)),
    ("code server", ("api", "grpc")),
    ("code server: proxy", ("code-server", "start")),
    ("daemon", ("daemon", "run")),
    ("webserver", ("webserver",)),
    ("dagster dev", ("dev",)),
    ("MLflow: server", ("uvicorn",)),
    ("MLflow: command", ("mlflow",)),
    ("sinet ui", ("ui",)),
)


def role_of(process: psutil.Process) -> str:
    """The role of a process by its command line; the name of its program where it has none of the known roles."""
    words = process.cmdline()
    found = (role for role, wanted in ROLES if all(any(_matches(word, want) for word in words) for want in wanted))
    return next(found, process.name())


def _matches(word: str, want: str) -> bool:
    return word == want or word.rpartition(".")[2] == want or word.endswith(f"_{want}")


@contextmanager
def opened_ui(home: Path) -> Iterator[psutil.Process]:
    """`sinet ui` of the home on free ports, as soon as both pages respond; ended by its process id."""
    ports = ["--port", str(_free_port()), "--mlflow-port", str(_free_port())]
    with tempfile.TemporaryFile("w+") as output:
        command = [str(Path(sys.executable).parent / "sinet"), "ui", "--home", str(home), *ports]
        started = subprocess.Popen(command, cwd=measure.ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + READY_S
            while READY not in _text(output):
                if started.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"`sinet ui` did not start:\n{_text(output)[-3000:]}")
                time.sleep(0.5)
            yield psutil.Process(started.pid)
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(timeout=60)


@contextmanager
def made_home(given: str | None) -> Iterator[Path]:
    """The given home; without one, a home of `milling` in a temporary folder, whose model server ends with it."""
    if given is not None:
        yield Path(given).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="sinet-bench-") as folder:
        home = Path(folder).resolve() / "home"
        _sinet("run", "milling", "--home", str(home))
        try:
            yield home
        finally:
            _sinet("stop", "--home", str(home))


def _sinet(*arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "sinet"), *arguments]
    done = subprocess.run(command, cwd=measure.ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"`sinet {' '.join(arguments)}` ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def _text(output: TextIO) -> str:
    output.seek(0)
    return output.read()


def processes(ui: psutil.Process, home: Path) -> list[psutil.Process]:
    """The UI's processes, and the model servers of the home with their supervisors."""
    servers = []
    for one in psutil.process_iter(["cmdline"]):
        line = " ".join(one.info["cmdline"] or ())
        if "sinet_pipelines.deployment." in line and str(home) in line:
            servers.append(one)
    return [ui, *ui.children(recursive=True), *servers]


def cpu_by_role(ui: psutil.Process, home: Path) -> dict[str, float]:
    """CPU seconds so far by role, with those of child processes that ended."""
    found: dict[str, float] = {}
    for process in processes(ui, home):
        try:
            role, times = role_of(process), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds = times.user + times.system + times.children_user + times.children_system
        found[role] = found.get(role, 0.0) + seconds
    return found


def ticks_by_sensor(home: Path, since: float) -> dict[str, int]:
    """The number of ticks by sensor or schedule since a time, seconds after 1970."""
    database = f"file:{home / 'dagster' / 'schedules' / 'schedules.db'}?mode=ro"
    query = (
        "SELECT json_extract(tick_body, '$.job_name'), count(*) FROM job_ticks "
        "WHERE timestamp > datetime(?, 'unixepoch') GROUP BY 1"
    )
    with closing(sqlite3.connect(database, uri=True)) as opened:
        return dict(opened.execute(query, (since,)).fetchall())


def database_bytes(home: Path) -> int:
    """The size of Dagster's databases, without their write-ahead logs."""
    return sum(path.stat().st_size for path in (home / "dagster").rglob("*.db"))


def measured(ui: psutil.Process, home: Path, seconds: float) -> tuple[dict[str, float], dict[str, float], float]:
    """Per cent of one core by role, ticks a minute by sensor, and growth of the databases in KiB an hour."""
    started_at, started, before = time.time(), time.monotonic(), cpu_by_role(ui, home)
    bytes_before = database_bytes(home)
    time.sleep(seconds)
    after, passed = cpu_by_role(ui, home), time.monotonic() - started
    shares = {role: 100 * (cpu - before.get(role, 0.0)) / passed for role, cpu in after.items()}
    ticks = {name: 60 * count / passed for name, count in ticks_by_sensor(home, started_at).items()}
    return shares, ticks, (database_bytes(home) - bytes_before) / 1024 * 3600 / passed


def compare(args: argparse.Namespace) -> None:
    with made_home(args.home) as home, opened_ui(home) as ui:
        time.sleep(args.settle)
        found = [measured(ui, home, args.seconds) for _ in range(args.repeats)]
    title = f"an idle deployment: {args.repeats} times {args.seconds:.0f} s after {args.settle:.0f} s"
    _table(title, *zip(*found, strict=True)).print()


def _table(
    title: str,
    shares: tuple[Mapping[str, float], ...],
    ticks: tuple[Mapping[str, float], ...],
    growths: tuple[float, ...],
) -> measure.Table:
    table = measure.Table(title)
    roles = sorted(
        {role for one in shares for role in one}, key=lambda role: -sum(one.get(role, 0.0) for one in shares)
    )
    for role in roles:
        table.add(role, [one.get(role, 0.0) for one in shares], unit="%")
    table.add("all processes", [sum(one.values()) for one in shares], unit="% of a core", aim=AIM)
    names = ", ".join(sorted({name for one in ticks for name in one}))
    table.add("ticks", [sum(one.values()) for one in ticks], unit="a minute", note=names)
    table.add("growth of Dagster's databases", list(growths), unit="KiB/h")
    return table


if __name__ == "__main__":
    measure.main(
        __doc__.splitlines()[0],
        variants={},
        compare=compare,
        options={
            "--home": {"help": "a home that `sinet run` has finished; without it, one is made"},
            "--seconds": {"type": float, "default": 120.0},
            "--repeats": {"type": int, "default": 3},
            "--settle": {"type": float, "default": 120.0, "help": "seconds between the first page and the measurement"},
        },
    )
