"""`sinet ui` and `sinet stop`: start Dagster's and MLflow's UI of a home on loopback, and end what was started."""

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil

from sinet_pipelines.cli.code_server import CodeServers
from sinet_pipelines.cli.home import current_home, find_project, state_folder
from sinet_pipelines.cli.retain import remove_unneeded
from sinet_pipelines.errors import BusyError, FailedError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.processes import environment_of
from sinet_pipelines.storage.logs import rotate
from sinet_pipelines.words import counted

LOOPBACK = "127.0.0.1"
GUARDED = "sinet_pipelines.cli.dagster_pages"
MLFLOW = "sinet_pipelines.cli.mlflow_pages"
_PAGES = {
    "PYTHONWARNINGS": "ignore",
    "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",  # a backfill waits for a code server that starts again
    "FRESHNESS_DAEMON_INTERVAL_SECONDS": "600",  # policies are of hours and days; each evaluation reads all assets
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # evaluation jobs of MLflow, which the platform does not use
}
STOP_S = 10
RETAIN_S = 3600  # how often unneeded data are removed while the UI is open
START_S = 600  # ten times the load on two cores: 180 s to the first page; an early exit is reported at once
LOOK_S = 5  # how often code servers and the sizes of logs are checked


def open_pages(*, home: Path | None, project: Path | None, port: int, mlflow_port: int) -> None:
    """Starts the UIs and the daemon, and waits until they are stopped.

    Raises:
        BusyError: a port is in use, or the home's UI is open already.
    """
    folder, root = current_home(home), find_project(project)
    _require_closed(folder)
    for wanted, name in ((port, "--port"), (mlflow_port, "--mlflow-port")):
        _require_free(wanted, name)
    from sinet_pipelines.cli.orchestrator import end_killed_runs, enter, opened_instance
    from sinet_pipelines.registry.tracking import tracking_of

    enter(root, folder)
    with opened_instance() as instance:
        end_killed_runs(instance)  # a reboot leaves runs STARTED, which would block the queue
    # completes MLflow's tables before its server checks them
    tracking_of(folder).client.search_experiments(max_results=1)
    tracking_url = f"http://{LOOPBACK}:{mlflow_port}"
    environment = {**os.environ, **_PAGES, "SINET_TRACKING_URL": tracking_url}
    commands = {
        "mlflow": [*_python(MLFLOW), "server", *_mlflow_options(folder, mlflow_port)],
        "dagster": [*_python(GUARDED), "dev", "-w", str(root / "workspace.yaml"), *_dagster_options(port)],
    }
    started = {name: _start(command, folder / f"{name}.log", environment) for name, command in commands.items()}
    _write_record(folder, started)
    try:
        for name, at in (("dagster", port), ("mlflow", mlflow_port)):
            _await_page(started[name], at, folder / f"{name}.log")
        print(for_terminal(f"Dagster http://{LOOPBACK}:{port}    MLflow http://{LOOPBACK}:{mlflow_port}"))
        print("ctrl-c here, or `sinet stop` elsewhere, ends both")
        removed_at = time.monotonic()
        code_servers = CodeServers(started["dagster"].pid)
        while _run_on(started.values(), LOOK_S):
            code_servers.restart_orphans()
            for name in started:
                rotate(folder / f"{name}.log")
            if time.monotonic() - removed_at > RETAIN_S:
                remove_unneeded(folder)
                removed_at = time.monotonic()
    finally:
        _end_recorded(folder)


def stop_all(*, home: Path | None, as_json: bool, pages_only: bool = False) -> None:
    """Ends the UIs, the daemon and the model servers of a home, by process id; with `pages_only` no model server."""
    from sinet_pipelines.deployment.endpoint import endpoint_folders
    from sinet_pipelines.deployment.process import stop_servers

    folder = current_home(home)
    pages = _end_recorded(folder)
    servers = 0 if pages_only else sum(stop_servers(endpoint) for endpoint in endpoint_folders(folder))
    if as_json:
        facts: dict[str, Any] = {"home": str(folder), "pages": pages, "servers": servers}
        if left := _left_in_clusters(folder):
            facts["left_in_clusters"] = left
        json.dump(facts, sys.stdout)
        sys.stdout.write("\n")
    elif pages_only:
        print(for_terminal(f"ended {counted(pages, 'page server')} of {folder}; its model servers continue"))
    else:
        print(for_terminal(f"ended {counted(pages, 'page server')} and {counted(servers, 'model server')} of {folder}"))
        for sentence in _left_in_clusters(folder):
            print(for_terminal(sentence))
        for other in _other_homes_at_work(folder):
            print(
                for_terminal(
                    f"a model server of another home still runs; `sinet stop --home {shlex.quote(str(other))}` ends it"
                )
            )


def _left_in_clusters(home: Path) -> list[str]:
    """The endpoints in clusters, which continue without this machine, each with the command that deletes it."""
    from sinet_pipelines.deployment.cluster.record import recorded
    from sinet_pipelines.inventory.regions import this_inventory

    lines, inventory = [], this_inventory()
    for record in recorded(home).values():
        kubectl = inventory.region(record.region).cluster.kubectl(namespace=record.namespace)
        kinds = "deployment,service,poddisruptionbudget" if record.kind == "Deployment" else "inferenceservice"
        delete = f"{kubectl} delete {kinds} {record.object} --ignore-not-found"
        lines.append(f"the endpoint {record.name} continues in {record.region}'s cluster; `{delete}` deletes it")
    return lines


def _other_homes_at_work(home: Path) -> list[Path]:
    """Other homes of this checkout whose model server still runs."""
    from sinet_pipelines.deployment.endpoint import current, endpoint_folders
    from sinet_pipelines.ingestion.record import has_record

    homes = sorted({path.resolve() for path in state_folder().glob("*") if has_record(path)} - {home})
    return [other for other in homes if any(current(folder) for folder in endpoint_folders(other))]


def _python(module: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", module]


def _dagster_options(port: int) -> list[str]:
    # at the default level each tick of each sensor logs a line: 7 MB a day
    return ["-h", LOOPBACK, "-p", str(port), "--log-level", "warning"]


def _mlflow_options(home: Path, port: int) -> list[str]:
    from sinet_pipelines.registry.tracking import tracking_of

    store = tracking_of(home)
    return [
        "--backend-store-uri",
        store.uri,
        "--default-artifact-root",
        store.artifact_root,
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--workers",
        "1",
        # MLflow's own guard: rejects other host names, and changes requested by pages of other sites
        "--allowed-hosts",
        ",".join(f"{host}{any_port}" for host in ("localhost", LOOPBACK) for any_port in ("", ":*")),
    ]


def _run_on(processes: "Collection[subprocess.Popen[bytes]]", seconds: float) -> bool:
    """Waits until one of the processes ends, or for some seconds; returns whether all of them still run."""
    if any(process.poll() is not None for process in processes):
        return False
    descriptors = [os.pidfd_open(process.pid) for process in processes]
    try:
        select.select(descriptors, [], [], seconds)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return all(process.poll() is None for process in processes)


def _start(command: list[str], log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _require_closed(home: Path) -> None:
    """Two daemons on one home would start everything twice, and `sinet stop` would end only the later one."""
    open_already = _recorded(home)
    if open_already:
        known = " and ".join(str(process.pid) for process in open_already)
        raise BusyError(f"the UI of {home} is open already (processes {known}); use it or end it: `sinet stop`")


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise BusyError(f"port {port} is in use by another program; end it or pass another {option}") from error


def _await_page(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise FailedError(f"{log.stem} ended with {process.returncode} before its page was ready; see {log}")
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.2)
    raise FailedError(f"{log.stem} did not respond on port {port} in {START_S} s; see {log}")


def _record(home: Path) -> Path:
    return home / "pages.json"


def _write_record(home: Path, started: "dict[str, subprocess.Popen[bytes]]") -> None:
    record = {name: {"pid": p.pid, "started": psutil.Process(p.pid).create_time()} for name, p in started.items()}
    fresh = _record(home).with_suffix(".new")
    fresh.write_text(json.dumps(record))
    fresh.replace(_record(home))


def _end_recorded(home: Path) -> int:
    """Ends the recorded page servers with all their child processes; returns the number of servers."""
    roots = _recorded(home)
    family = [child for root in roots for child in (*root.children(recursive=True), root)]
    for process in family:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while any(map(_is_alive, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in filter(_is_alive, family):  # a `dagster dev` in the background and its children ignore SIGINT
        _signal(process, signal.SIGKILL)
    _record(home).unlink(missing_ok=True)
    return len(roots)


def _recorded(home: Path) -> list[psutil.Process]:
    """The recorded page servers of a home that still run."""
    if not _record(home).exists():
        return []
    recorded: dict[str, dict[str, Any]] = json.loads(_record(home).read_text())
    return [process for one in recorded.values() if (process := _same_process(one, home)) is not None]


def _same_process(recorded: dict[str, Any], home: Path) -> psutil.Process | None:
    """The recorded process, if it runs and serves this home: a copied home has the record of the original's servers."""
    try:
        process = psutil.Process(recorded["pid"])
        served = Path(environment_of(process).get("SINET_HOME", home))
        is_of_another = served != home and served.exists()  # a moved home no longer has its old path
        is_same = abs(process.create_time() - recorded["started"]) < 2 and not is_of_another
        return process if is_same else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; false for one that ended and whose parent has not waited for it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
