"""Restarts code servers of `dagster dev` whose child process was killed.

Dagster runs a proxy for each code location and restarts the proxy when it ends. The proxy starts its child, which has
loaded the code, only once. Where the child is killed (the kernel does so when memory is short), the proxy keeps running
and returns an error for every request.
"""

import signal
from collections.abc import Iterable

import psutil

PROXY, CHILD = "code-server", "grpc"  # in the command lines `dagster code-server start` and `dagster api grpc`


class CodeServers:
    """The proxies below the `dagster dev` of a process id, and which of them have had a child."""

    def __init__(self, dagster: int) -> None:
        self._dagster = dagster
        self._had_child = set[psutil.Process]()
        self._in_order: tuple[psutil.Process, ...] = ()  # all proxies and their children, where each proxy has one

    def restart_orphans(self) -> int:
        """Ends each proxy whose child has gone since an earlier call; `dagster dev` restarts the proxy.

        A proxy whose code does not load has no lasting child. It is left alone; the UI shows its error. While all
        processes of an earlier call still run, the processes of the machine are not listed again.

        Returns:
            The number of proxies ended.
        """
        if self._in_order and all(map(_is_alive, self._in_order)):
            return 0
        ended, found, is_complete = 0, list[psutil.Process](), True
        for proxy in _proxies(self._dagster):
            children = _children(proxy)
            found += [proxy, *children]
            is_complete = is_complete and bool(children)
            if children:
                self._had_child.add(proxy)
            elif proxy in self._had_child:
                self._had_child.discard(proxy)
                ended += _end(proxy)
        self._in_order = tuple(found) if is_complete else ()
        return ended


def _proxies(dagster: int) -> Iterable[psutil.Process]:
    try:
        children = psutil.Process(dagster).children()
    except psutil.NoSuchProcess:
        return ()
    return [child for child in children if PROXY in _command(child)]


def _children(proxy: psutil.Process) -> list[psutil.Process]:
    """The code servers of a proxy; the proxy itself where it ended a moment ago, since `dagster dev` restarts it."""
    try:
        return [child for child in proxy.children() if CHILD in _command(child)]
    except psutil.NoSuchProcess:
        return [proxy]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    """The command line of a process; empty for one that ended and whose parent has not waited for it."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def _end(proxy: psutil.Process) -> bool:
    try:
        proxy.send_signal(signal.SIGKILL)  # SIGTERM would wait for the child, which is gone
    except psutil.NoSuchProcess:
        return False
    return True
