"""Model servers as processes that outlive whoever started them: start or re-use, switch when ready, stop.

One lock per endpoint is held over a whole start, so of several starters one starts and the others re-use. A new
server is asked whether it is ready before `current.json` names it, and only then is the old one told to end; whatever
fails before leaves the old one serving. A starter that is killed at any point leaves an endpoint that the next one
can put right: it ends every server of the folder that is not current.
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

START_S = 60.0  # a start takes half a second; a machine that swaps is given this
STOP_S = 15.0  # longer than a server takes to answer what is under way
LOCK_S = 120.0  # a start and a stop of somebody before us
POLL_S = 0.01

_children: dict[int, "subprocess.Popen[bytes]"] = {}  # kept to be reaped: we may live longer than they


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
    """A ready server of this version: the running one, if it serves just that, else a new one in its place.

    Args:
        folder: the endpoint's folder, made if need be.
        name: of the endpoint.
        region: where it serves.
        repository: the model repository.
        model: to serve.
        version: to serve.
        sha256: of the version's graph.
        port: of HTTP on 127.0.0.1; 0 takes a free one, or whichever the running server has.
        grpc_port: of gRPC, likewise.
        supervised: whether a process beside it starts it again when it ends unasked (`supervisor.py`).

    Raises:
        BusyError: another program holds the port, or another starter is at work for too long.
        ModelNotFoundError: the repository has no such version.
        ServingError: the new server does not start; the old one goes on.
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
                token=secrets.token_hex(8),
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
    """The endpoint's server again, where its process ended unasked: the same version, at the same ports if it can.

    Returns:
        The living server; None where the endpoint was stopped.

    Raises:
        SinetError: the server does not start.
    """
    with held(folder / LOCK_FILE, wait_s=LOCK_S):
        ended, options = read_current(folder), read_wanted(folder)
        if ended is None or options is None:
            return None
        if is_alive(ended):
            return ended
        options = replace(options, token=secrets.token_hex(8), folder=str(folder.resolve()))
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
    """Every endpoint of a home, as `sinet status` prints them; `ready` is asked of the server itself."""
    named = [read_current(folder) for folder in endpoint_folders(home)]
    return [describe(endpoint) for endpoint in named if endpoint is not None]


def describe(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint in the words of `sinet status`."""
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
    """Whether this very server lives and answers that it is ready."""
    return is_alive(endpoint) and instance(endpoint.url) == endpoint.token


def _serves(running: Endpoint, model: str, version: str, sha256: str, ports: tuple[int, int]) -> bool:
    """Whether a running server is the one that is wanted, at the wanted ports, and answers."""
    there = (_port(running.url), _port(running.grpc))
    at_ports = all(wanted in (0, found) for wanted, found in zip(ports, there, strict=True))
    is_wanted = (running.model, running.version, running.sha256) == (model, version, sha256)
    return at_ports and is_wanted and is_ready(running)


def _start(folder: Path, options: ServerOptions, *, old: Endpoint | None) -> Endpoint:
    """A new server that is ready; nothing of it is left where that fails."""
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
            report_path(folder, options.token).unlink(missing_ok=True)


def _spawn(folder: Path, options: ServerOptions) -> "subprocess.Popen[bytes]":
    """The server process, in a session of its own and with no pipe to us, so that our end is not its end."""
    command = [sys.executable, "-P", "-m", "sinet_pipelines.deployment.server", *options.arguments()]
    with _log_path(folder, options.token).open("wb") as log:
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
    give_up_at = time.monotonic() + START_S
    asked_to_leave = False
    while time.monotonic() < give_up_at:
        ended = process.poll() is not None  # asked first: what it reported before it ended is then there to be read
        report = read_report(report_path(folder, options.token))
        if report is not None and report.state == "failed":
            raise _as_error(report)
        if report is not None and report.state == "waiting" and not asked_to_leave:
            _leave_ports(report, old)
            asked_to_leave = True  # it tries again by itself and says so if a port stays taken
        if report is not None and report.endpoint is not None and instance(report.endpoint.url) == options.token:
            return report.endpoint
        if ended:
            raise ServingError(f"the server of {options.model!r} ended at once: {_last_line(folder, options.token)}")
        time.sleep(POLL_S)
    raise ServingError(
        f"the server of {options.model!r} was not ready within {START_S:.0f} s; look at this machine's load"
    )


def _leave_ports(report: Report, old: Endpoint | None) -> None:
    """A new server has loaded its model and waits for fixed ports: the old one leaves them, if all are its own."""
    olds = {_port(address) for address in (old.url, old.grpc)} if old is not None else set()
    if old is not None and olds >= set(report.ports):
        _stop(old)
    elif is_alive(report):
        raise _as_error(report)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _as_error(report: Report) -> errors.SinetError:
    """What the server process failed with, as if it had failed here."""
    kind = getattr(errors, report.kind, ServingError)
    return kind(report.error)


def _end_others(folder: Path, *, keep: str | None) -> int:
    """Ends every server of the folder but one and clears away its files; returns how many were running."""
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
    """Tells a server to end and waits until it has; returns whether it was running."""
    was_running = is_alive(server)
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        give_up_at = time.monotonic() + patience_s
        if is_alive(server):
            with suppress(ProcessLookupError):
                os.kill(server.pid, number)
        while is_alive(server) and time.monotonic() < give_up_at:
            _reap()
            time.sleep(POLL_S)
    _reap()
    return was_running


def _reap() -> None:
    """Takes note of children that have ended, so that they do not stay as zombies."""
    for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
        del _children[pid]


@atexit.register
def _leave_running() -> None:
    """Servers are meant to outlive us: told that they have ended, `Popen` does not warn of them at our end."""
    for child in _children.values():
        child.returncode = child.poll() or 0


def _log_path(folder: Path, token: str) -> Path:
    return folder / f"server-{token}.log"


def _last_line(folder: Path, token: str) -> str:
    with suppress(OSError):
        lines = _log_path(folder, token).read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    return "its log is gone"
