"""Starts, reuses, replaces and stops model servers on this machine; a server outlives the process that started it.

A start holds the lock of its endpoint. Of several processes that start an endpoint at the same time, one starts a
server and the others reuse it. `current.json` names a new server only when it is ready, and only then is the old one
ended; if the new one fails before, the old one continues. After a kill at any point the next start repairs the
endpoint: it ends every server of the folder that `current.json` does not name.
"""

import atexit
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sinet_pipelines import errors
from sinet_pipelines.deployment.client import instance
from sinet_pipelines.deployment.endpoint import (
    CURRENT_FILE,
    LOCK_FILE,
    WANTED_FILE,
    Endpoint,
    Report,
    ServerOptions,
    current,
    endpoint_folders,
    is_alive,
    read_current,
    read_report,
    read_wanted,
    report_path,
    write_current,
    write_wanted,
)
from sinet_pipelines.deployment.environment import server_environment
from sinet_pipelines.deployment.supervisor import supervise
from sinet_pipelines.errors import BusyError, ServingError
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.locks import held

START_S = 60.0  # time limit of a start, which takes half a second; a machine without free memory needs longer
STOP_S = 15.0  # time limit after a signal; a server needs less to complete requests in progress
LOCK_S = 120.0  # time limit for the lock: longer than a start and a stop by another process
POLL_S = 0.01

_children: dict[int, "subprocess.Popen[bytes]"] = {}  # by process id


def ensure_server(
    folder: Path,
    *,
    name: str,
    region: str,
    repository: Path,
    model: str,
    version: str,
    sha256: str,
    port: int = 0,
    grpc_port: int = 0,
    supervised: bool = True,
) -> Endpoint:
    """A ready server of this version: the running one if it serves this version, or else a new one in its place.

    Args:
        folder: folder of the endpoint, created if necessary.
        name: name of the endpoint.
        region: name of the endpoint's region.
        repository: folder of the model repository.
        model: name of the model to serve.
        version: number of the version to serve, as text.
        sha256: SHA-256 of the version's graph.
        port: port of HTTP on 127.0.0.1; 0 for the port of a running server of this version, or else a free one.
        grpc_port: port of gRPC; 0 likewise.
        supervised: whether a second process restarts it when it ends unexpectedly (`supervisor.py`).

    Raises:
        BusyError: another program uses a port, or another process holds the endpoint's lock for too long.
        ModelNotFoundError: the repository has no such version.
        ServingError: the new server does not become ready; the old one continues.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / LOCK_FILE, wait_s=LOCK_S):
        running = current(folder)
        if running is None or not _serves(running, model, version, sha256, (port, grpc_port)):
            options = ServerOptions(
                repository=str(repository.resolve()),
                model=model,
                version=version,
                sha256=sha256,
                port=port,
                grpc_port=grpc_port,
                instance=secrets.token_hex(8),
                folder=str(folder.resolve()),
                name=name,
                region=region,
            )
            before_commit()
            running = _start(folder, options, old=running)
            write_wanted(folder, options)
            write_current(folder, running)
        _end_others(folder, keep=running.token)
    if supervised:
        supervise(folder)
    return running


def restart(folder: Path) -> Endpoint | None:
    """Restarts the endpoint's server after an unexpected end, with the same version and if possible the same ports.

    Returns:
        The running server; None where the endpoint was stopped.

    Raises:
        SinetError: the server does not start.
    """
    with held(folder / LOCK_FILE, wait_s=LOCK_S):
        ended, options = read_current(folder), read_wanted(folder)
        if ended is None or options is None:
            return None
        if is_alive(ended):
            return ended
        options = replace(options, instance=secrets.token_hex(8), folder=str(folder.resolve()))
        try:
            same_ports = replace(options, port=_port(ended.url), grpc_port=_port(ended.grpc))
            running = _start(folder, same_ports, old=None)
        except BusyError:
            running = _start(folder, options, old=None)
        write_current(folder, running)
        _end_others(folder, keep=running.token)
    return running


def stop_servers(folder: Path) -> int:
    """Ends every server of an endpoint; returns how many were running."""
    if not folder.is_dir():
        return 0
    with held(folder / LOCK_FILE, wait_s=LOCK_S):
        named = read_current(folder)
        ended = 1 if named is not None and _stop(named) else 0
        (folder / CURRENT_FILE).unlink(missing_ok=True)
        (folder / WANTED_FILE).unlink(missing_ok=True)
        return ended + _end_others(folder, keep=None)


def stop_all(home: Path) -> int:
    """Ends every server of every endpoint of a home; returns how many were running."""
    return sum(stop_servers(folder) for folder in endpoint_folders(home))


def endpoints(home: Path) -> list[dict[str, Any]]:
    """Every endpoint on this machine in the JSON form of `sinet status`; `ready` is read from the server itself."""
    named = [read_current(folder) for folder in endpoint_folders(home)]
    return [describe(endpoint) for endpoint in named if endpoint is not None]


def describe(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint in the JSON form of `sinet status`."""
    return {
        "name": endpoint.name,
        "region": endpoint.region,
        "url": endpoint.url,
        "grpc": endpoint.grpc,
        "model": endpoint.model,
        "version": endpoint.version,
        "ready": is_ready(endpoint),
    }


def is_ready(endpoint: Endpoint) -> bool:
    """Whether this server's process is alive and responds that it is ready."""
    return is_alive(endpoint) and instance(endpoint.url) == endpoint.token


def _serves(running: Endpoint, model: str, version: str, sha256: str, ports: tuple[int, int]) -> bool:
    """Whether a running server has the requested version and ports, and is ready."""
    used = (_port(running.url), _port(running.grpc))
    at_ports = all(wanted in (0, found) for wanted, found in zip(ports, used, strict=True))
    is_wanted = (running.model, running.version, running.sha256) == (model, version, sha256)
    return at_ports and is_wanted and is_ready(running)


def _start(folder: Path, options: ServerOptions, *, old: Endpoint | None) -> Endpoint:
    """Starts a new server and waits until it is ready; where that fails, kills it and removes its report."""
    process = _spawn(folder, options)
    ready = None
    try:
        ready = _await_ready(process, folder, options, old)
        return ready
    finally:
        if ready is None:
            process.kill()
            process.wait()
            _children.pop(process.pid, None)
            report_path(folder, options.instance).unlink(missing_ok=True)


def _spawn(folder: Path, options: ServerOptions) -> "subprocess.Popen[bytes]":
    """Starts the server process in a session of its own and without a pipe to this process, which it outlives."""
    command = [sys.executable, "-P", "-m", "sinet_pipelines.deployment.server", *options.arguments()]
    with _log_path(folder, options.instance).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=server_environment(),
            start_new_session=True,
        )
    _children[process.pid] = process
    return process


def _await_ready(
    process: "subprocess.Popen[bytes]", folder: Path, options: ServerOptions, old: Endpoint | None
) -> Endpoint:
    deadline = time.monotonic() + START_S
    is_end_requested = False
    while time.monotonic() < deadline:
        ended = process.poll() is not None  # checked before the report: an ended process has written it
        report = read_report(report_path(folder, options.instance))
        if report is not None and report.state == "failed":
            raise _as_error(report)
        if report is not None and report.state == "waiting" and not is_end_requested:
            _free_ports(report, old)
            is_end_requested = True  # the new server tries again, and reports a failure if a port stays in use
        if report is not None and report.endpoint is not None and instance(report.endpoint.url) == options.instance:
            return report.endpoint
        if ended:
            raise ServingError(f"the server of {options.model!r} ended at once: {_last_line(folder, options.instance)}")
        time.sleep(POLL_S)
    raise ServingError(
        f"the server of {options.model!r} was not ready within {START_S:.0f} s; check this machine's load"
    )


def _free_ports(report: Report, old: Endpoint | None) -> None:
    """Stops the old server if it uses the ports for which the new server waits; its model is loaded by then.

    Raises:
        SinetError: another program uses the ports.
    """
    old_ports = {_port(address) for address in (old.url, old.grpc)} if old is not None else set()
    if old is not None and old_ports >= set(report.ports):
        _stop(old)
    elif is_alive(report):
        raise _as_error(report)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _as_error(report: Report) -> errors.SinetError:
    """The exception for the error that a server process reported."""
    kind = getattr(errors, report.kind, ServingError)
    return kind(report.error)


def _end_others(folder: Path, *, keep: str | None) -> int:
    """Ends every server of the folder but one and removes their files; returns how many were running."""
    ended = 0
    for path in folder.glob("server-*.json"):
        report = read_report(path)
        if report is not None and report.token == keep:
            continue
        ended += 1 if report is not None and _stop(report) else 0
        path.unlink(missing_ok=True)
    for log in folder.glob("server-*.log"):
        if keep is None or log != _log_path(folder, keep):
            log.unlink(missing_ok=True)
    return ended


def _stop(server: Endpoint | Report) -> bool:
    """Ends a server by SIGTERM, or by SIGKILL after 15 s; returns whether it was running."""
    was_running = is_alive(server)
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        deadline = time.monotonic() + patience_s
        if is_alive(server):
            with suppress(ProcessLookupError):
                os.kill(server.pid, number)
        while is_alive(server) and time.monotonic() < deadline:
            _reap()
            time.sleep(POLL_S)
    _reap()
    return was_running


def _reap() -> None:
    """Waits for child processes that have ended, so that none remains as a zombie."""
    for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
        del _children[pid]


@atexit.register
def _leave_running() -> None:
    """Marks running servers as ended for `Popen`, which otherwise warns when this process ends before they do."""
    for child in _children.values():
        child.returncode = child.poll() or 0


def _log_path(folder: Path, token: str) -> Path:
    return folder / f"server-{token}.log"


def _last_line(folder: Path, token: str) -> str:
    with suppress(OSError):
        lines = _log_path(folder, token).read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
    return "its log is gone"
