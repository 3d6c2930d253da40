"""Connections within limits: long heads, slow requests and crowds are refused with a sentence, others are answered."""

import asyncio
import json
import socket
import threading
from contextlib import contextmanager

import pytest
import uvicorn

from sinet_pipelines.deployment.http_protocol import HEAD_LIMIT_BYTES, BoundedHttpProtocol, sweep
from tests.waiting import until

GOOD = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n"


async def echo(scope, receive, send):
    """Answers with the number of bytes of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        size, more = size + len(message["body"]), message["more_body"]
    content = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def listening(**bounds):
    """A server of the protocol on a free port, whose connections are swept every 20 ms; and what it reported."""
    reported = []
    kind = type(
        "Here", (BoundedHttpProtocol,), {**bounds, "report": staticmethod(lambda *found: reported.append(found))}
    )
    config = uvicorn.Config(echo, http=kind, ws="none", lifespan="off", log_config=None, interface="asgi3")
    server, ready = uvicorn.Server(config), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve():
        async def look():
            while not server.should_exit:
                sweep(server.server_state.connections)
                if server.started:
                    ready.set()
                await asyncio.sleep(0.02)

        await asyncio.gather(server.serve(sockets=[listener]), look())

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield listener.getsockname(), reported
    finally:
        server.should_exit = True
        thread.join()


def exchange(address, *parts):
    """Everything that comes back for some bytes, until the server ends the connection."""
    with socket.create_connection(address, timeout=300) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
        found = b""
        while part := _receive(connection):
            found += part
    return found


def _receive(connection):
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def status_of(found):
    head, _, content = found.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)["error"], head


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 2 * HEAD_LIMIT_BYTES,
        b"GET / HTTP/1.1\r\nx: " + b"a" * 40 * HEAD_LIMIT_BYTES,
        b"GET / HTTP/1.1\r\n" + b"x: aaaaaaaa\r\n" * HEAD_LIMIT_BYTES,
    ],
    ids=["path", "header", "headers"],
)
def test_a_head_beyond_the_limit_is_431_and_delays_nobody(head):
    with listening() as (address, reported):
        status, sentence, _ = status_of(exchange(address, head))
        assert (status, f"larger than {HEAD_LIMIT_BYTES} bytes" in sentence) == (431, True)
        assert [one[0] for one in reported] == [431]
        with socket.create_connection(address, timeout=300) as connection:
            connection.sendall(GOOD)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_head_within_the_limit_is_accepted_also_in_parts():
    head = b"GET / HTTP/1.1\r\nx: " + b"a" * (HEAD_LIMIT_BYTES - 200) + b"\r\nconnection: close\r\n\r\n"
    with listening() as (address, _):
        assert exchange(address, head[:1000], head[1000:]).endswith(b"\r\n\r\n0")


def test_a_head_that_takes_too_long_is_408():
    with listening(head_s=0.2) as (address, _):
        assert status_of(exchange(address, b"GET / HTTP/1.1\r\nhost:"))[:2] == (
            408,
            "the request's head took more than 0.2 s; send it at once",
        )


@pytest.mark.parametrize("bounds", [{"body_pause_s": 0.2}, {"body_s": 0.2}])
def test_a_body_that_pauses_or_takes_too_long_is_408(bounds):
    with listening(**bounds) as (address, reported):
        assert status_of(exchange(address, POST, b"12345"))[0] == 408
        assert [one[0] for one in reported] == [408]


def test_connections_beyond_the_limit_are_503_and_the_others_are_served():
    with listening(limit_connections=3) as (address, _):
        kept = [socket.create_connection(address, timeout=300) for _ in range(3)]
        for connection in kept:
            connection.sendall(GOOD)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        status, sentence, head = status_of(exchange(address))
        assert (status, "3 connections are open" in sentence, b"retry-after: 1" in head) == (503, True, True)
        kept[0].close()
        closing = GOOD.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        found = until(lambda: (answer := exchange(address, closing)) and b"503" not in answer and answer)
        assert found.startswith(b"HTTP/1.1 200")
        for connection in kept:
            connection.close()


def test_a_client_that_ends_its_side_after_the_request_gets_its_response():
    with listening() as (address, _):
        for _ in range(20):
            with socket.create_connection(address, timeout=300) as connection:
                connection.sendall(POST + b"0123456789")
                connection.shutdown(socket.SHUT_WR)
                assert connection.makefile("rb").read().endswith(b"\r\n\r\n10")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_400_once(garbage):
    with listening() as (address, reported):
        assert status_of(exchange(address, garbage))[0] == 400
        assert [one[0] for one in reported] == [400]


def test_a_client_that_offers_another_protocol_gets_a_response_in_this_one():
    """Java's client sends this with every first request."""
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAAAAMAAAAA"
    with listening() as (address, reported), socket.create_connection(address, timeout=300) as connection:
        connection.sendall(GOOD.replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert reported == []
