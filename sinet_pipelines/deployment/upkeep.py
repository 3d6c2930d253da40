"""Work of a model server beside its requests: its log, freed memory, slow connections, and its end as an orphan."""

import asyncio
import ctypes
import logging
import time
from pathlib import Path

import psutil
import uvicorn

from sinet_pipelines.deployment.endpoint import ServerOptions, read_current
from sinet_pipelines.deployment.http_protocol import sweep
from sinet_pipelines.deployment.request_log import RequestLog

WATCH_S = 2.0  # between two reads of current.json
UPKEEP_S = 1.0  # between two checks for slow connections, and two writes of the log
TRIM_BYTES = 16 * 1024**2  # growth of memory after which freed memory is returned to the system
WARNINGS_A_MINUTE = 30  # lines of libraries in the server's log


def quiet_libraries() -> None:
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


async def keep_up(server: uvicorn.Server, log: RequestLog) -> None:
    """Closes slow connections, writes the request log, and returns freed memory to the system, once a second."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps the freed memory of large requests
    process = psutil.Process()
    low_bytes = process.memory_info().rss
    while True:
        await asyncio.sleep(UPKEEP_S)
        sweep(server.server_state.connections)
        write_log(log)
        if trim is not None and process.memory_info().rss > low_bytes + TRIM_BYTES:
            trim(0)
            low_bytes = process.memory_info().rss


def write_log(log: RequestLog) -> None:
    """Writes the lines of the log that are not written yet."""
    try:
        log.write()
    except OSError as error:  # a full disk loses log lines, never responses
        logging.getLogger(__name__).warning("requests are not logged: %s", error)


async def end_when_orphaned(server: uvicorn.Server, options: ServerOptions) -> None:
    """Ends a server that `current.json` does not name for `orphan_s` seconds; one without a folder is never ended."""
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
