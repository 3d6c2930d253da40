"""A uvicorn server that waits for its end; uvicorn's own wakes ten times a second to look whether it should end."""

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import Any

import uvicorn

DATE_S = 1.0  # how often the Date header of responses is renewed
REST_S = 60.0  # between two ticks of a server without that header


class WaitingServer(uvicorn.Server):
    """Serves as `uvicorn.Server` does. Its main loop sleeps until `should_exit` is set or the Date header is due."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._is_ending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        """Whether the server ends; setting it ends the main loop at once, also from a signal handler or a thread."""
        return self._is_ending

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._is_ending = value
        if value and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)

    async def main_loop(self) -> None:
        """Returns when the server ends."""
        self._loop = asyncio.get_running_loop()
        rest_s = DATE_S if self.config.date_header else REST_S
        try:
            while not await self.on_tick(0):  # with 0 each tick renews the header
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest_s):
                        await self._ending.wait()
        finally:
            self._loop = None


def serve_waiting() -> None:
    """Lets `uvicorn.run` and the command `uvicorn` of this process use the waiting server."""
    module: Any = import_module("uvicorn.main")  # the package has a command of the same name
    module.Server = WaitingServer
