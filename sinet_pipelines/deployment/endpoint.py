"""Endpoints on this machine: the record of a running model server, its file, and whether the server is alive.

    <home>/serving/<REGION>/<name>/start.lock             held during a start, switch or stop
    <home>/serving/<REGION>/<name>/current.json           the current server
    <home>/serving/<REGION>/<name>/wanted.json            options of the last start, for a restart
    <home>/serving/<REGION>/<name>/restarts.log           when it ended unexpectedly and was restarted
    <home>/serving/<REGION>/<name>/requests.log           one line of JSON for each request, rotated
    <home>/serving/<REGION>/<name>/server-<token>.json    the report of one server process
    <home>/serving/<REGION>/<name>/server-<token>.log     its output

The server process, its starter and its clients share this module, so it imports little.
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
FOLDER_OPTION = "--folder="  # option of a server's command line: the endpoint's folder for its report
SAME_START_S = 2.0  # psutil derives start times from the boot time, which clock corrections move by a second


@dataclass(frozen=True)
class Endpoint:
    """A model server that accepts connections.

    Attributes:
        name: of the endpoint; that of its model for the champion's.
        region: the region of the endpoint.
        url: HTTP root without a path.
        grpc: host and port of gRPC.
        model: the default model.
        version: of that model.
        sha256: of that version's graph.
        pid: id of its process.
        started: start of the process, seconds since 1970.
        token: random text in its command line that no other process has; not a secret.
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
    """The report of a starting server process to its starter.

    Attributes:
        state: `waiting` for its port, `listening`, or `failed`.
        pid: id of its process.
        started: start of the process, seconds since 1970.
        token: of the process.
        endpoint: what it serves, once it accepts connections.
        ports: the ports that it waits for.
        error: one sentence on the failure.
        kind: the class name of the error.
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
        model: the model to serve.
        version: the version to serve.
        sha256: required hash of the graph; empty for any.
        host: address to bind.
        port: of HTTP; 0 for a free one.
        grpc_port: of gRPC; 0 for a free one.
        instance: random text that identifies this process, not a secret; `/v2/health/ready` returns it.
        folder: the endpoint's folder; empty for a server without a report, as in a container.
        name: of the endpoint.
        region: the region of the endpoint.
        hosts: accepted host names beside loopback's and `host`, separated by commas; `*` for any.
        orphan_s: the server ends itself when `current.json` has not named it for this time.
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
        """The options as a command line; `server.py` parses them."""
        return [f"--{field.name.replace('_', '-')}={getattr(self, field.name)}" for field in fields(self)]


def endpoint_folder(home: Path, *, region: str, name: str) -> Path:
    """The folder with the files of an endpoint."""
    return home / SERVING_FOLDER / region / name


def models_folder(home: Path) -> Path:
    """The model repository of a home."""
    return home / SERVING_FOLDER / MODELS_FOLDER


def side_name(model: str, version: str) -> str:
    """Name of an endpoint for a version beside the champion's."""
    return f"{model}-v{version}"


def endpoint_folders(home: Path) -> tuple[Path, ...]:
    """Folders of all endpoints that were ever started in a home."""
    found = (home / SERVING_FOLDER).glob(f"*/*/{LOCK_FILE}")
    return tuple(sorted(path.parent for path in found if path.parent.parent.name != MODELS_FOLDER))


def current(folder: Path) -> Endpoint | None:
    """The endpoint's running server; None where there is none or its process is gone."""
    named = read_current(folder)
    return named if named is not None and is_alive(named) else None


def read_current(folder: Path) -> Endpoint | None:
    """The server in `current.json`, running or not; None for a missing or invalid file or a copy of another home's."""
    entry = _read(folder / CURRENT_FILE)
    named = _endpoint(entry) if entry is not None else None
    return None if named is None or _is_of_another(named, folder) else named


def write_current(folder: Path, endpoint: Endpoint) -> None:
    """Makes this the server that clients of the endpoint use."""
    _write(folder / CURRENT_FILE, asdict(endpoint) | {"ready": True})


def write_wanted(folder: Path, options: ServerOptions) -> None:
    """Stores the options of the start, with the repository relative to the folder, so that a home can be moved."""
    repository = os.path.relpath(options.repository, folder.resolve())
    _write(folder / WANTED_FILE, asdict(options) | {"repository": repository, "instance": "", "folder": ""})


def read_wanted(folder: Path) -> ServerOptions | None:
    """The options of the endpoint's last start; None where they are unknown."""
    entry = _read(folder / WANTED_FILE)
    if entry is None:
        return None
    entry.pop("token", None)  # 0.1.0 used this key for the name of the process
    try:
        options = ServerOptions(**entry)
    except TypeError:
        return None
    return replace(options, repository=str((folder / options.repository).resolve()))


def read_report(path: Path) -> Report | None:
    """The report in a `server-<token>.json`; None where it is missing, incomplete, or a copy of another home's."""
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
    """Writes the report where the starter reads it."""
    _write(report_path(folder, report.token), asdict(report))


def report_path(folder: Path, token: str) -> Path:
    """The path of a server process's report."""
    return folder / f"server-{token}.json"


def is_starting(folder: Path) -> bool:
    """Whether a process holds the endpoint's lock: a start, a switch or a stop is in progress."""
    return is_held(folder / LOCK_FILE)


def is_alive(server: Endpoint | Report) -> bool:
    """Whether the process that wrote this still runs: equal start time, token in its command line, not a zombie.

    The process id alone may belong to another process by now, and the start time too, since clocks are corrected. A
    process that ended and whose parent has not waited for it keeps both.
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
    """Whether a running server reports to another folder: the files here are copies, or the home was moved.

    A moved home's old server ends itself, since no file at the old path names it.
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
