"""Binds the ports of a model server, HTTP and gRPC; a server that replaces another waits until they are free."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from sinet_pipelines.deployment.endpoint import ServerOptions
from sinet_pipelines.errors import BusyError, ServingError

PORT_WAIT_S = 15  # time limit for the former server to close its ports


@dataclass(frozen=True)
class Bound:
    """HTTP and gRPC, bound to their ports."""

    http: socket.socket
    grpc: grpc.aio.Server
    grpc_port: int


async def bind_ports(
    options: ServerOptions,
    make_grpc: Callable[[], tuple[grpc.aio.Server, int]],
    *,
    report_waiting: Callable[[tuple[int, ...], BusyError], None],
) -> Bound:
    """Binds both ports; waits while the former server uses one of them, and reports this.

    Args:
        options: of the server.
        make_grpc: binds the port of gRPC.
        report_waiting: called with the ports in use, and the error if they stay in use.

    Raises:
        BusyError: a port stays in use.
    """
    deadline = time.monotonic() + (PORT_WAIT_S if options.folder else 0)
    reported: tuple[int, ...] = ()
    while True:
        taken = tuple(port for port in (options.port, options.grpc_port) if not _is_free(options.host, port))
        if not taken:
            try:
                return _bind_now(options, make_grpc)
            except BusyError:  # another process has bound a port since the check
                taken = (options.port or options.grpc_port,)
        busy = BusyError(f"port {taken[0]} is in use by another program; end it or choose another port")
        if time.monotonic() > deadline:
            raise busy
        if taken != reported:
            report_waiting(taken, busy)
            reported = taken
        await asyncio.sleep(0.02)


def _bind_now(options: ServerOptions, make_grpc: Callable[[], tuple[grpc.aio.Server, int]]) -> Bound:
    """Binds the port of HTTP, then that of gRPC: a gRPC server that is never started does not release its port."""
    http = _listen(options.host, options.port)
    try:
        rpc = make_grpc()
    except BusyError:
        http.close()
        raise
    return Bound(http, *rpc)


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
