"""Endpoints on this machine: what a running model server says of itself, where that is written, and whether it lives.

    <home>/serving/<REGION>/<name>/start.lock             held over a whole start, switch or stop
    <home>/serving/<REGION>/<name>/current.json           the server that answers now
    <home>/serving/<REGION>/<name>/wanted.json            what was started last, to start it again
    <home>/serving/<REGION>/<name>/restarts.log           when it ended unasked and was started again
    <home>/serving/<REGION>/<name>/requests.log           a line of JSON a request, rotated
    <home>/serving/<REGION>/<name>/server-<token>.json    what one server process reported of itself
    <home>/serving/<REGION>/<name>/server-<token>.log     what it printed

The server process, its starter and its clients share this module, so it stays light.
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
FOLDER_OPTION = "--folder="  # of a server's command line: the endpoint's folder that it reports to
SAME_START_S = 2.0  # psutil derives start times from the boot time, which clock corrections move by a second


@dataclass(frozen=True)
class Endpoint:
    """A model server that listens.

    Attributes:
        name: of the endpoint; that of its model for the champion's.
        region: where it serves.
        url: HTTP root without a path.
        grpc: host and port of gRPC.
        model: what it serves by default.
        version: of that model.
        sha256: of that version's graph.
        pid: its process.
        started: start of the process, seconds since 1970.
        token: random word in its command line that no other process has.
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
    """What a starting server process wrote of itself, for its starter.

    Attributes:
        state: `waiting` for its port, `listening`, or `failed`.
        pid: its process.
        started: start of the process, seconds since 1970.
        token: of the process.
        endpoint: what it serves, once it listens.
        ports: those it waits for.
        error: what failed, in a sentence.
        kind: the name of that error's class.
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
    """What a server process is told on its command line.

    Attributes:
        repository: folder of the model repository.
        model: to serve.
        version: to serve.
        sha256: the graph must have it; empty where any will do.
        host: address to listen on.
        port: of HTTP; 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one.
        token: random word that names this process.
        folder: endpoint's folder; empty for a server that reports to nobody, as in a container.
        name: of the endpoint.
        region: where it serves.
        hosts: names under which it may be asked, beside loopback's and `host`: separated by commas; `*` allows any.
        orphan_s: it ends itself when `current.json` has not named it for so long.
    """

    repository: str
    model: str
    version: str
    sha256: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = 0
    token: str = ""
    folder: str = ""
    name: str = ""
    region: str = ""
    hosts: str = ""
    orphan_s: float = 60.0

    def arguments(self) -> list[str]:
        """The options as a command line; `server.py` reads them back."""
        return [f"--{field.name.replace('_', '-')}={getattr(self, field.name)}" for field in fields(self)]


def endpoint_folder(home: Path, *, region: str, name: str) -> Path:
    """Where the files of an endpoint are."""
    return home / SERVING_FOLDER / region / name


def models_folder(home: Path) -> Path:
    """The model repository of a home."""
    return home / SERVING_FOLDER / MODELS_FOLDER


def side_name(model: str, version: str) -> str:
    """Name of an endpoint that serves a version beside the champion's."""
    return f"{model}-v{version}"


def endpoint_folders(home: Path) -> tuple[Path, ...]:
    """Folders of all endpoints that were ever started in a home."""
    found = (home / SERVING_FOLDER).glob(f"*/*/{LOCK_FILE}")
    return tuple(sorted(path.parent for path in found if path.parent.parent.name != MODELS_FOLDER))


def current(folder: Path) -> Endpoint | None:
    """The endpoint's living server; None where there is none or its process is gone."""
    named = read_current(folder)
    return named if named is not None and is_alive(named) else None


def read_current(folder: Path) -> Endpoint | None:
    """What `current.json` names, alive or not; None where it is missing, no such file, or a copy of another home's."""
    said = _read(folder / CURRENT_FILE)
    named = _endpoint(said) if said is not None else None
    return None if named is None or _is_of_another(named, folder) else named


def write_current(folder: Path, endpoint: Endpoint) -> None:
    """From now on clients of this endpoint ask this server."""
    _write(folder / CURRENT_FILE, asdict(endpoint) | {"ready": True})


def write_wanted(folder: Path, options: ServerOptions) -> None:
    """Keeps how the server was started; the repository relative to the folder, so that a home can be moved."""
    repository = os.path.relpath(options.repository, folder.resolve())
    _write(folder / WANTED_FILE, asdict(options) | {"repository": repository, "token": "", "folder": ""})


def read_wanted(folder: Path) -> ServerOptions | None:
    """How the endpoint's server was started; None where that is not known."""
    said = _read(folder / WANTED_FILE)
    if said is None:
        return None
    try:
        options = ServerOptions(**said)
    except TypeError:
        return None
    return replace(options, repository=str((folder / options.repository).resolve()))


def read_report(path: Path) -> Report | None:
    """The report in a `server-<token>.json`; None where it is missing, cut off, or a copy of another home's."""
    said = _read(path)
    if said is None:
        return None
    try:
        nested = said.pop("endpoint", None)
        ports = tuple(said.pop("ports", ()))
        report = Report(**said, ports=ports, endpoint=None if nested is None else _endpoint(nested))
    except TypeError:
        return None
    return None if _is_of_another(report, path.parent) else report


def write_report(folder: Path, report: Report) -> None:
    """Leaves the report where the starter looks for it."""
    _write(report_path(folder, report.token), asdict(report))


def report_path(folder: Path, token: str) -> Path:
    """Where a server process reports."""
    return folder / f"server-{token}.json"


def is_starting(folder: Path) -> bool:
    """Whether somebody holds the endpoint's lock: a start, a switch or a stop is under way."""
    return is_held(folder / LOCK_FILE)


def is_alive(server: Endpoint | Report) -> bool:
    """Whether the process that wrote this still runs: same start, token in its command line, and no zombie.

    The number alone may be another's by now, the start time too (within what clocks correct), and a process that has
    ended but was not waited for keeps both.
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
    """Whether a living server reports to another folder: this one's files are copies, or the home was moved.

    A moved home's old server ends itself: nothing at the old place names it any more.
    """
    try:
        words = psutil.Process(server.pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    named = [word.removeprefix(FOLDER_OPTION) for word in words if word.startswith(FOLDER_OPTION)]
    return is_alive(server) and bool(named) and str(folder.resolve()) not in named


def _endpoint(said: dict[str, Any]) -> Endpoint | None:
    try:
        return Endpoint(**{field.name: said[field.name] for field in fields(Endpoint)})
    except KeyError:
        return None


def _write(path: Path, said: dict[str, Any]) -> None:
    write_whole(path, json.dumps(said, indent=2).encode())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None
