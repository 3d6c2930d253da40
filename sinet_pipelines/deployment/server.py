"""The model server's process: `python -m sinet_pipelines.deployment.server --repository=... --model=... --version=...`.

It loads the model, binds its ports, serves HTTP and gRPC, and writes its report into the endpoint's folder. On SIGTERM
it completes requests in progress before it ends. A server that `current.json` does not name for a minute ends itself:
the process that started it was killed, another server has replaced it, or its home was removed.

It imports no data frames, no MLflow and no training libraries, so that it is ready in a few tenths of a second and uses
less than 100 MB. A test checks its imports.
"""

import argparse
import asyncio
import ctypes
import errno
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import grpc
import psutil
import uvicorn
import uvloop

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.endpoint import (
    Endpoint,
    Report,
    ServerOptions,
    read_current,
    report_path,
    write_report,
)
from sinet_pipelines.deployment.grpc_server import make_server
from sinet_pipelines.deployment.http_protocol import BoundedHttpProtocol, sweep
from sinet_pipelines.deployment.http_server import HttpApplication
from sinet_pipelines.deployment.request_log import LOG_FILE, RequestLog
from sinet_pipelines.deployment.waiting_server import WaitingServer
from sinet_pipelines.errors import BusyError, ServingError, SinetError

KEEP_ALIVE_S = 65  # longer than the usual 60 s of clients and load balancers, which then close idle connections first
DRAIN_S = 10  # time limit for requests in progress; one request takes far less
PORT_WAIT_S = 15  # time limit for the former server to close its ports
LINGER_S = 3.0  # time in which clients with open connections send a last request, whose response closes the connection
CONTROL_VARIABLE = "SINET_SERVE_TOKEN"  # other users can read a command line, but not the environment
WATCH_S = 2.0  # between two reads of current.json
UPKEEP_S = 1.0  # between two checks for slow connections, and two writes of the log
TRIM_BYTES = 16 * 1024**2  # growth of memory after which freed memory is returned to the system
WANTED_FILES = 65_536  # limit of open files; each connection is one
OWN_FILES = 64  # open files that are not connections: model, log, libraries, event loop
WARNINGS_A_MINUTE = 30  # lines of libraries in the server's log
WORKERS = 2  # threads: for one long request at a time, and one load


@dataclass(frozen=True)
class _Bound:
    """HTTP and gRPC, bound to their ports."""

    http: socket.socket
    grpc: grpc.aio.Server
    grpc_port: int


class _HttpServer(WaitingServer):
    """A server that calls a function when it accepts connections, and that ends without connection resets."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None], on_ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._on_ending = on_ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept connections."""
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the port, then each connection after its next response, then idle connections.

        A client gets a connection reset if its connection is closed just when it sends a request. After a response with
        `Connection: close` it opens a new connection instead, to the next server at the port.
        """
        self._on_ending()
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        deadline = time.monotonic() + LINGER_S
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown([])


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM; returns the exit code."""
    options = parse_options(arguments)
    try:
        uvloop.run(_serve(options))
    except SinetError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        _report(options, "failed", error=str(error), kind=type(error).__name__)
        return error.exit_code
    return 0


def parse_options(arguments: Sequence[str] | None) -> ServerOptions:
    """Parses arguments of the form of `ServerOptions.arguments`; None for those of this process."""
    parser = argparse.ArgumentParser(prog="sinet_pipelines.deployment.server", allow_abbrev=False)
    for field in fields(ServerOptions):
        flag, required = f"--{field.name.replace('_', '-')}", field.name in ("repository", "model", "version")
        parser.add_argument(flag, type=field.type, required=required, default=None if required else field.default)
    return ServerOptions(**vars(parser.parse_args(arguments)))


async def _serve(options: ServerOptions) -> None:
    connections = _allow_files()
    _quiet_libraries()
    catalogue = Catalogue(Path(options.repository))
    served = catalogue.start(options.model, version=options.version, sha256=options.sha256 or None)
    log = RequestLog(Path(options.folder) / LOG_FILE if options.folder else None)
    control_token = os.environ.get(CONTROL_VARIABLE, "")
    with ThreadPoolExecutor(WORKERS) as workers:
        bound = await _bind(catalogue, options, workers, log, control_token)
        endpoint = _describe(options, bound, sha256=served.sha256)
        application = HttpApplication(
            catalogue,
            token=options.instance,
            workers=workers,
            log=log,
            hosts=_host_names(options),
            control_token=control_token,
        )

        ending: list[asyncio.Task[None]] = []

        def end() -> None:
            application.is_draining = True
            ending.append(asyncio.create_task(bound.grpc.stop(grace=DRAIN_S)))

        server = _HttpServer(
            _config(application, connections, log), lambda: _report(options, "listening", endpoint=endpoint), end
        )
        _stop_on_signal(server)
        await bound.grpc.start()
        tasks = [asyncio.create_task(_end_when_orphaned(server, options)), asyncio.create_task(_upkeep(server, log))]
        await server.serve(sockets=[bound.http])
        await asyncio.gather(*ending)
        for task in tasks:
            task.cancel()
        _write_log(log)
    if options.folder:
        report_path(Path(options.folder), options.instance).unlink(missing_ok=True)


def _allow_files() -> int:
    """Raises this process's limit of open files as far as allowed; returns the limit of HTTP connections within it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(16, (files - OWN_FILES) * 3 // 4)  # a quarter is left for gRPC and for rejected connections


def _quiet_libraries() -> None:
    """Limits the number of warnings a minute that libraries write to the server's log."""
    handler = logging.StreamHandler()
    handler.addFilter(_FirstLines())
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", handlers=[handler])


class _FirstLines(logging.Filter):
    """Passes the first lines of every minute, and drops the others."""

    def __init__(self) -> None:
        super().__init__()
        self._minute = self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        minute = int(record.created // 60)
        if minute != self._minute:
            self._minute, self._lines = minute, 0
        self._lines += 1
        return self._lines <= WARNINGS_A_MINUTE


def _host_names(options: ServerOptions) -> frozenset[str]:
    """The accepted host names beside loopback: those in the options, and the bound address."""
    names = {name.strip().lower() for name in options.hosts.split(",") if name.strip()}
    return frozenset(names | {options.host.lower()})


async def _upkeep(server: uvicorn.Server, log: RequestLog) -> None:
    """Closes slow connections, writes the request log, and returns freed memory to the system, once a second."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps the freed memory of large requests
    process = psutil.Process()
    low_bytes = process.memory_info().rss
    while True:
        await asyncio.sleep(UPKEEP_S)
        sweep(server.server_state.connections)
        _write_log(log)
        if trim is not None and process.memory_info().rss > low_bytes + TRIM_BYTES:
            trim(0)
            low_bytes = process.memory_info().rss


def _write_log(log: RequestLog) -> None:
    try:
        log.write()
    except OSError as error:  # a full disk loses log lines, never responses
        logging.getLogger(__name__).warning("requests are not logged: %s", error)


def _config(application: HttpApplication | None, connections: int, log: RequestLog) -> uvicorn.Config:
    def note(status: int, sentence: str) -> None:
        log.add("http", sentence, status, 0.0)

    bounds = {"limit_connections": connections, "report": staticmethod(note)}
    return uvicorn.Config(
        application,
        http=type("_BoundedHere", (BoundedHttpProtocol,), bounds),
        loop="uvloop",
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="error",
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )


async def _bind(
    catalogue: Catalogue, options: ServerOptions, workers: Executor, log: RequestLog, control_token: str
) -> _Bound:
    """Binds both ports; waits while the former server uses one of them, and reports this.

    Raises:
        BusyError: a port stays in use.
    """
    deadline = time.monotonic() + (PORT_WAIT_S if options.folder else 0)
    reported: tuple[int, ...] = ()
    while True:
        taken = tuple(port for port in (options.port, options.grpc_port) if not _is_free(options.host, port))
        if not taken:
            try:
                return _bind_now(catalogue, options, workers, log, control_token)
            except BusyError:  # another process has bound a port since the check
                taken = (options.port or options.grpc_port,)
        busy = BusyError(f"port {taken[0]} is in use by another program; end it or choose another port")
        if time.monotonic() > deadline:
            raise busy
        if taken != reported:
            _report(options, "waiting", ports=taken, error=str(busy), kind="BusyError")
            reported = taken
        await asyncio.sleep(0.02)


def _bind_now(
    catalogue: Catalogue, options: ServerOptions, workers: Executor, log: RequestLog, control_token: str
) -> _Bound:
    """Binds the port of HTTP, then that of gRPC: a gRPC server that is never started does not release its port."""
    http = _listen(options.host, options.port)
    try:
        rpc = make_server(
            catalogue,
            host=options.host,
            port=options.grpc_port,
            workers=workers,
            log=log,
            control_token=control_token,
        )
    except BusyError:
        http.close()
        raise
    return _Bound(http, *rpc)


def _is_free(host: str, port: int) -> bool:
    """Whether a port can be bound; true for port 0, which means any free port."""
    if port == 0:
        return True
    try:
        _listen(host, port).close()
    except BusyError:
        return False
    return True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusyError(f"port {port} is in use; end its process or choose another --port") from error
        raise ServingError(f"{host} port {port} cannot be bound: {error.strerror}; choose another") from error


def _describe(options: ServerOptions, bound: _Bound, *, sha256: str) -> Endpoint:
    host = f"[{options.host}]" if ":" in options.host else options.host
    process = psutil.Process()
    return Endpoint(
        name=options.name or options.model,
        region=options.region,
        url=f"http://{host}:{bound.http.getsockname()[1]}",
        grpc=f"{host}:{bound.grpc_port}",
        model=options.model,
        version=options.version,
        sha256=sha256,
        pid=process.pid,
        started=process.create_time(),
        token=options.instance,
    )


def _report(options: ServerOptions, state: str, **details: Any) -> None:
    """Writes the report of this process; a server without a folder writes none."""
    if options.folder and Path(options.folder).is_dir():
        process = psutil.Process()
        report = Report(state=state, pid=process.pid, started=process.create_time(), token=options.instance, **details)
        write_report(Path(options.folder), report)


def _stop_on_signal(server: uvicorn.Server) -> None:
    """Sets signal handlers: uvicorn raises a signal again after its shutdown, and the process must end with code 0."""

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


async def _end_when_orphaned(server: uvicorn.Server, options: ServerOptions) -> None:
    if not options.folder:
        return
    named_at = time.monotonic()
    while not server.should_exit:
        named = read_current(Path(options.folder))
        if named is not None and named.token == options.instance:
            named_at = time.monotonic()
        elif time.monotonic() - named_at > options.orphan_s:
            server.should_exit = True
        await asyncio.sleep(min(WATCH_S, options.orphan_s))


if __name__ == "__main__":
    sys.exit(main())
