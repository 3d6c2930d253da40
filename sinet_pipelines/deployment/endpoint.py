"""Endpoints on this machine: the record of a running model server, its file, and whether the server is alive.

    <home>/serving/<REGION>/<name>/start.lock             held during a start, switch or stop
    <home>/serving/<REGION>/<name>/current.json           the current server
    <home>/serving/<REGION>/<name>/wanted.json            options of the last start, for a restart
    <home>/serving/<REGION>/<name>/restarts.log           unexpected ends and restarts
    <home>/serving/<REGION>/<name>/requests.log           one line of JSON for each request, rotated
    <home>/serving/<REGION>/<name>/server-<token>.json    the report of one server process
    <home>/serving/<REGION>/<name>/server-<token>.log     the output of that process

The server process, the process that starts it and its clients import this module, so it imports little.
"""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import psutil

from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.locks import is_held

CURRENT_FILE = "current.json"
WANTED_FILE = "wanted.json"
LOCK_FILE = "start.lock"
SERVING_FOLDER = "serving"
MODELS_FOLDER = "models"
FOLDER_OPTION = "--folder="  # option of a server's command line with the endpoint's folder
SAME_START_S = 2.0  # tolerance: psutil computes start times from the boot time, which clock corrections change by 1 s


@dataclass(frozen=True)
class Endpoint:
    """A model server that accepts connections.

    Attributes:
        name: name of the endpoint; the endpoint of a champion has its model's name.
        region: name of the endpoint's region.
        url: root of HTTP without a path: `http://127.0.0.1:8000`.
        grpc: host and port of gRPC.
        model: name of the default model.
        version: number of its version, as text.
        sha256: SHA-256 of the version's graph.
        pid: id of the server's process.
        started: start time of the process, seconds since 1970.
        token: random text in the process's command line, which no other process has; not a secret.
    """

    name: str
    region: str
    url: str
    grpc: str
    model: str
    version: str
    sha256: str
    pid: int
    started: float
    token: str


@dataclass(frozen=True)
class Report:
    """The report of a server process to the process that started it.

    Attributes:
        state: `waiting` for its ports, `listening`, or `failed`.
        pid: id of the server's process.
        started: start time of the process, seconds since 1970.
        token: token of the process.
        endpoint: the server, once it accepts connections.
        ports: the ports that it waits for.
        error: the message of the failure; empty where there is none.
        kind: class name of the error; empty where there is none.
    """

    state: str
    pid: int
    started: float
    token: str
    endpoint: Endpoint | None = None
    ports: tuple[int, ...] = ()
    error: str = ""
    kind: str = ""


@dataclass(frozen=True)
class ServerOptions:
    """The options of a server process on its command line.

    Attributes:
        repository: folder of the model repository.
        model: name of the model to serve.
        version: number of the version to serve, as text.
        sha256: required SHA-256 of the graph; empty for any.
        host: address to bind.
        port: port of HTTP; 0 for a free one.
        grpc_port: port of gRPC; 0 for a free one.
        instance: the process's token, which `/v2/health/ready` returns.
        folder: folder of the endpoint; empty for a server without one, as in a container.
        name: name of the endpoint.
        region: name of the endpoint's region.
        hosts: accepted host names beside loopback and `host`, separated by commas; `*` for any.
        orphan_s: time in seconds after which the server ends if `current.json` does not name it.
    """

    repository: str
    model: str
    version: str
    sha256: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = 0
    instance: str = ""
    folder: str = ""
    name: str = ""
    region: str = ""
    hosts: str = ""
    orphan_s: float = 60.0

    def arguments(self) -> list[str]:
        """The options as arguments of a command line, which `server.py` parses."""
        return [f"--{field.name.replace('_', '-')}={getattr(self, field.name)}" for field in fields(self)]


def endpoint_folder(home: Path, *, region: str, name: str) -> Path:
    """The folder of an endpoint."""
    return home / SERVING_FOLDER / region / name


def models_folder(home: Path) -> Path:
    """The folder of a home's model repository."""
    return home / SERVING_FOLDER / MODELS_FOLDER


def side_name(model: str, version: str) -> str:
    """The name of an endpoint that serves one version, in addition to the champion's endpoint."""
    return f"{model}-v{version}"


def endpoint_folders(home: Path) -> tuple[Path, ...]:
    """The folders of all endpoints that were ever started in a home, sorted."""
    found = (home / SERVING_FOLDER).glob(f"*/*/{LOCK_FILE}")
    return tuple(sorted(path.parent for path in found if path.parent.parent.name != MODELS_FOLDER))


def current(folder: Path) -> Endpoint | None:
    """The endpoint's running server; None where no server runs."""
    named = read_current(folder)
    return named if named is not None and is_alive(named) else None


def read_current(folder: Path) -> Endpoint | None:
    """The server in `current.json`, running or not; None where the file is missing, invalid or copied."""
    entry = _read(folder / CURRENT_FILE)
    named = _endpoint(entry) if entry is not None else None
    return None if named is None or _is_of_another(named, folder) else named


def write_current(folder: Path, endpoint: Endpoint) -> None:
    """Writes `current.json`: clients of the endpoint then use this server."""
    _write(folder / CURRENT_FILE, asdict(endpoint) | {"ready": True})


def write_wanted(folder: Path, options: ServerOptions) -> None:
    """Writes the options of a start; the repository is relative to the folder, so that a home can be moved."""
    repository = os.path.relpath(options.repository, folder.resolve())
    _write(folder / WANTED_FILE, asdict(options) | {"repository": repository, "instance": "", "folder": ""})


def read_wanted(folder: Path) -> ServerOptions | None:
    """The options of the endpoint's last start; None where the file is missing or invalid."""
    entry = _read(folder / WANTED_FILE)
    if entry is None:
        return None
    entry.pop("token", None)  # version 0.1.0 wrote the process's token under this key
    try:
        options = ServerOptions(**entry)
    except TypeError:
        return None
    return replace(options, repository=str((folder / options.repository).resolve()))


def read_report(path: Path) -> Report | None:
    """The report in a `server-<token>.json`; None where it is missing, invalid, or a copy from another home."""
    entry = _read(path)
    if entry is None:
        return None
    try:
        nested = entry.pop("endpoint", None)
        ports = tuple(entry.pop("ports", ()))
        report = Report(**entry, ports=ports, endpoint=None if nested is None else _endpoint(nested))
    except TypeError:
        return None
    return None if _is_of_another(report, path.parent) else report


def write_report(folder: Path, report: Report) -> None:
    """Writes the report into the endpoint's folder."""
    _write(report_path(folder, report.token), asdict(report))


def report_path(folder: Path, token: str) -> Path:
    """The path of a server process's report."""
    return folder / f"server-{token}.json"


def is_starting(folder: Path) -> bool:
    """Whether a start, a switch or a stop of the endpoint is in progress: a process holds its lock."""
    return is_held(folder / LOCK_FILE)


def is_alive(server: Endpoint | Report) -> bool:
    """Whether the server's process runs: it has the same start time and token, and is not a zombie.

    The process id may belong to another process by now. Start times are compared with a tolerance, since clocks are
    corrected, so the token is compared too. A process that ended is a zombie until its parent has waited for it.
    """
    try:
        process = psutil.Process(server.pid)
        with process.oneshot():
            return (
                process.status() != psutil.STATUS_ZOMBIE
                and abs(process.create_time() - server.started) <= SAME_START_S
                and any(server.token in word for word in process.cmdline())
            )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _is_of_another(server: Endpoint | Report, folder: Path) -> bool:
    """Whether the server runs for another folder: the files in this folder are copies, or the home was moved.

    The server of a moved home ends itself, since no file at the old path names it.
    """
    try:
        words = psutil.Process(server.pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    named = [word.removeprefix(FOLDER_OPTION) for word in words if word.startswith(FOLDER_OPTION)]
    return is_alive(server) and bool(named) and str(folder.resolve()) not in named


def _endpoint(entry: dict[str, Any]) -> Endpoint | None:
    try:
        return Endpoint(**{field.name: entry[field.name] for field in fields(Endpoint)})
    except KeyError:
        return None


def _write(path: Path, entry: dict[str, Any]) -> None:
    write_whole(path, json.dumps(entry, indent=2).encode())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        entry = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) else None
