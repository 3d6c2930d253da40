"""The server that waits for its end: it ends at once when it should, and otherwise rests."""

import asyncio
import threading
import time
from importlib import import_module

import pytest
import uvicorn

from sinet_pipelines.deployment.waiting_server import WaitingServer, serve_waiting
from tests.loopback import free_port


class Counting(WaitingServer):
    """Counts the ticks of its main loop."""

    ticks = 0

    async def on_tick(self, counter):
        self.ticks += 1
        return await super().on_tick(counter)


async def empty(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_rests_until_another_thread_ends_it(loop):
    config = uvicorn.Config(
        empty, port=free_port(), loop=loop, lifespan="off", log_config=None, date_header=False, ws="none"
    )
    server = Counting(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.ticks and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    rested = server.ticks
    server.should_exit = True
    thread.join(30)  # half of the rest
    assert not thread.is_alive()
    assert (rested, server.ticks) == (1, 2)


def test_the_date_of_its_responses_is_renewed():
    server = Counting(uvicorn.Config(empty, log_config=None))

    async def run():
        ended = asyncio.create_task(server.main_loop())
        while server.ticks < 2:  # the second one comes by itself
            await asyncio.sleep(0.05)
        server.should_exit = True
        await ended

    asyncio.run(asyncio.wait_for(run(), 60))
    assert [name for name, _ in server.server_state.default_headers][0] == b"date"


def test_uvicorn_runs_it_by_the_name_that_is_replaced(monkeypatch):
    module = import_module("uvicorn.main")
    monkeypatch.setattr(module, "Server", module.Server)  # put back after the test
    assert module.Server is uvicorn.Server
    serve_waiting()
    ran = []
    monkeypatch.setattr(
        WaitingServer, "run", lambda server, **_: (ran.append(server), setattr(server, "started", True))
    )
    uvicorn.run(empty, log_config=None)
    assert [type(server) for server in ran] == [WaitingServer]
