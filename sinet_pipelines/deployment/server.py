"""The model server's process: `python -m sinet_pipelines.deployment.server --repository=... --model=... --version=...`.

It loads the model, binds its ports, serves HTTP and gRPC, and writes its report into the endpoint's folder. On SIGTERM
it completes requests in progress before it ends. A server that `current.json` does not name for a minute ends itself:
the process that started it was killed, another server has replaced it, or its home was removed.

It imports no data frames, no MLflow and no training libraries, so that it is ready in a few tenths of a second and uses
less than 100 MB. A test checks its imports.
"""

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import uvicorn
import uvloop

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.endpoint import Endpoint, Report, ServerOptions, report_path, write_report
from sinet_pipelines.deployment.grpc_server import make_server
from sinet_pipelines.deployment.http_protocol import BoundedHttpProtocol
from sinet_pipelines.deployment.http_server import HttpApplication
from sinet_pipelines.deployment.ports import Bound, bind_ports
from sinet_pipelines.deployment.request_log import LOG_FILE, RequestLog
from sinet_pipelines.deployment.upkeep import end_when_orphaned, keep_up, quiet_libraries, write_log
from sinet_pipelines.deployment.waiting_server import WaitingServer
from sinet_pipelines.errors import BusyError, SinetError

KEEP_ALIVE_S = 65  # longer than the usual 60 s of clients and load balancers, which then close idle connections first
DRAIN_S = 10  # time limit for requests in progress; one request takes far less
LINGER_S = 3.0  # time in which clients with open connections send a last request, whose response closes the connection
CONTROL_VARIABLE = "SINET_SERVE_TOKEN"  # other users can read a command line, but not the environment
WANTED_FILES = 65_536  # limit of open files; each connection is one
OWN_FILES = 64  # open files that are not connections: model, log, libraries, event loop
WORKERS = 2  # threads: for one long request at a time, and one load


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
    quiet_libraries()
    catalogue = Catalogue(Path(options.repository))
    served = catalogue.start(options.model, version=options.version, sha256=options.sha256 or None)
    log = RequestLog(Path(options.folder) / LOG_FILE if options.folder else None)
    control_token = os.environ.get(CONTROL_VARIABLE, "")
    with ThreadPoolExecutor(WORKERS) as workers:
        make_grpc = partial(
            make_server,
            catalogue,
            host=options.host,
            port=options.grpc_port,
            workers=workers,
            log=log,
            control_token=control_token,
        )
        bound = await bind_ports(options, make_grpc, report_waiting=partial(_report_waiting, options))
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
        tasks = [asyncio.create_task(end_when_orphaned(server, options)), asyncio.create_task(keep_up(server, log))]
        await server.serve(sockets=[bound.http])
        await asyncio.gather(*ending)
        for task in tasks:
            task.cancel()
        write_log(log)
    if options.folder:
        report_path(Path(options.folder), options.instance).unlink(missing_ok=True)


def _allow_files() -> int:
    """Raises this process's limit of open files as far as allowed; returns the limit of HTTP connections within it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(16, (files - OWN_FILES) * 3 // 4)  # a quarter is left for gRPC and for rejected connections


def _host_names(options: ServerOptions) -> frozenset[str]:
    """The accepted host names beside loopback: those in the options, and the bound address."""
    names = {name.strip().lower() for name in options.hosts.split(",") if name.strip()}
    return frozenset(names | {options.host.lower()})


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


def _describe(options: ServerOptions, bound: Bound, *, sha256: str) -> Endpoint:
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


def _report_waiting(options: ServerOptions, ports: tuple[int, ...], error: BusyError) -> None:
    _report(options, "waiting", ports=ports, error=str(error), kind="BusyError")


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


if __name__ == "__main__":
    sys.exit(main())
