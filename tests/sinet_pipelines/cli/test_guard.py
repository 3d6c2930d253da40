"""The guard: pages of other sites, other host names and mutations by GET do not reach Dagster's webserver."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from sinet_pipelines.cli.dagster_pages import (
    HEARTBEAT_S,
    MODULE,
    RELOAD_S,
    WAIT_S,
    guarded_command,
    reload_less_often,
    rest_longer,
)
from sinet_pipelines.cli.guard import CONFINED, Guard, judge
from tests.loopback import await_port, free_port

SET_LIMIT = 'mutation { setConcurrencyLimit(concurrencyKey: "planted", limit: 7) }'
LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"
CODE = "import dagster as dg\n\n\n@dg.asset\ndef thing(): ...\n\n\ndefs = dg.Definitions(assets=[thing])\n"


def scope(kind="http", *, method="POST", path="/graphql", **headers):
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    head = {"type": kind, "path": path, "headers": pairs}
    return head | ({"method": method} if kind == "http" else {})


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST:3000", "localhost"])
def test_this_machine_is_let_through_by_its_own_names(host):
    assert judge(scope(host=host)) is None
    assert judge(scope(host=host, origin=f"http://{host}")) is None
    assert judge(scope("websocket", host=host, origin=f"http://{host}")) is None
    assert judge(scope(method="GET", path="/runs", host=host)) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example:3000", "127.0.0.1.evil.example:3000", "localhost.", "localhost@evil.example", "evil@localhost", "",
     "192.168.0.1:3000", "0.0.0.0:3000", "localhost:port", "localhost:", "[::1", "localhost/x", "localhost:3000, evil"],
)  # fmt: skip
def test_another_host_name_is_refused(host):
    for kind in ("http", "websocket"):
        assert judge(scope(kind, host=host))[0] == 403
    assert judge(scope(method="GET", path="/", host=host))[0] == 403


def test_a_request_without_a_host_or_with_two_is_refused():
    assert judge(scope())[0] == 403
    twice = scope(host="localhost:3000")
    twice["headers"] *= 2
    assert judge(twice)[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "file://", "http://localhost:3001", "http://127.0.0.1:3000", "http://[::1",
     "chrome-extension://abc", "http://localhost:3000.evil.example", "http://localhost"],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused(origin):
    for kind in ("http", "websocket"):
        assert judge(scope(kind, host="localhost:3000", origin=origin))[0] == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql"])
def test_graphql_is_asked_by_post_alone(method, path):
    assert judge(scope(method=method, path=path, host="localhost:3000"))[0] == 405
    page = judge(scope(method=method, path=path, host="localhost:3000", accept="text/html,*/*"))
    assert (page is None) == (method == "GET")  # which shows a page and asks nothing


@given(host=st.text(st.characters(max_codepoint=255), max_size=20), origin=st.text(max_size=20).map(ascii))
def test_any_headers_are_judged_without_an_error(host, origin):
    assert judge(scope(host=host, origin=origin))[0] == 403


def test_what_is_let_through_may_not_be_framed_and_what_is_refused_reaches_nothing():
    reached, sent = [], []

    async def inner(head, receive, send):
        reached.append(head["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(inner)(scope(host="localhost"), None, send))
    asyncio.run(Guard(inner)(scope(host="evil.example"), None, send))
    asyncio.run(Guard(inner)({"type": "lifespan", "path": "life"}, None, send))
    assert reached == ["/graphql", "life"]
    assert sent[0]["headers"] == list(CONFINED)
    assert [message.get("status") for message in sent] == [200, 403, None, 200]


@pytest.mark.parametrize(
    ("module", "program"), [("dagster_webserver", "webserver"), ("dagster._daemon", "daemon"), ("dagster", "dagster")]
)
def test_each_program_that_asks_a_code_server_is_started_by_ours_and_others_as_they_are(module, program):
    python = sys.executable
    assert guarded_command([python, "-m", module, "run"]) == [python, "-m", MODULE, program, "run"]
    assert guarded_command([python, "-m", "mlflow", "dagster"]) == [python, "-m", "mlflow", "dagster"]


def test_a_code_server_is_asked_often_enough_to_live():
    from dagster._grpc import client, server, server_watcher

    assert (client.CLIENT_HEARTBEAT_INTERVAL, server_watcher.WATCH_INTERVAL) == (1, 1)
    assert callable(server.open_ipc_subprocess)
    ends_after_s = 30  # the shorter of the two `--heartbeat-timeout` that `dagster dev` starts code servers with
    assert ends_after_s >= HEARTBEAT_S * 3


@pytest.mark.parametrize(
    ("age_s", "errors", "is_reloaded"),
    [
        (100, [], False),
        (100, ["the code does not load"], True),
        (30, ["the code does not load"], False),
        (290, [], True),
    ],
)
def test_the_daemon_reads_definitions_again_after_minutes_and_sooner_those_that_did_not_load(
    monkeypatch, age_s, errors, is_reloaded
):
    from dagster._daemon.controller import DEFAULT_WORKSPACE_FRESHNESS_TOLERANCE, DagsterDaemonController

    own = DagsterDaemonController.check_workspace_freshness
    monkeypatch.setattr(DagsterDaemonController, "check_workspace_freshness", own)  # put back after the test
    reload_less_often()
    reloads = []
    context = SimpleNamespace(
        create_request_context=lambda: SimpleNamespace(code_location_errors=lambda: errors),
        refresh_workspace=lambda: reloads.append(1),
    )
    controller = SimpleNamespace(_workspace_process_context=context, _grpc_server_registry=None)
    before = time.time() - age_s
    after = DagsterDaemonController.check_workspace_freshness(controller, before)
    assert (reloads == [1]) == is_reloaded
    assert (after > before) == is_reloaded
    assert RELOAD_S < DEFAULT_WORKSPACE_FRESHNESS_TOLERANCE


def test_a_grpc_server_that_waits_long_for_its_end_obeys_signals_at_once(monkeypatch):
    from dagster._grpc import client, server_watcher
    from grpc import _common

    for module, name in ((client, "CLIENT_HEARTBEAT_INTERVAL"), (server_watcher, "WATCH_INTERVAL")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back after the test
    monkeypatch.setattr(_common, "MAXIMUM_WAIT_TIMEOUT", _common.MAXIMUM_WAIT_TIMEOUT)
    rest_longer()

    def end(*_):
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    started = time.monotonic()
    try:
        with pytest.raises(InterruptedError):
            _common.wait(threading.Event().wait, lambda: False)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < WAIT_S / 2


def test_the_private_names_are_those_of_the_pinned_dagster():
    from dagster._cli import dev
    from dagster_webserver import cli

    assert callable(dev.open_ipc_subprocess)
    assert callable(dev.dev_command)
    assert callable(cli.create_app_from_workspace_process_context)


@pytest.fixture(scope="module")
def webserver(tmp_path_factory):
    """Dagster's webserver behind the guard, on a location with one asset; its host and port."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "location.py").write_text(CODE)
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", MODULE, "webserver", "-f", "location.py", "-h", "127.0.0.1"]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*command, "-p", str(port)], cwd=home, env=environment, stdout=log, stderr=log)
    try:
        await_port(port, process, log=home / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=300)


def ask(at, query, *, method="POST", **headers):
    """Status and answer of a GraphQL request."""
    if method == "POST":
        body, address = json.dumps({"query": query}).encode(), f"http://{at}/graphql"
    else:
        body, address = None, f"http://{at}/graphql?query={urllib.request.quote(query)}"
    head = {"Content-Type": "application/json", **headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, head, method=method), timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def limits(at):
    status, answer = ask(at, LIMITS)
    assert status == 200
    return [one["concurrencyKey"] for one in answer["data"]["instance"]["concurrencyLimits"]]


def test_no_other_page_changes_anything_on_the_real_webserver(webserver):
    refused = [
        ask(webserver, SET_LIMIT, method="GET"),
        ask(webserver, SET_LIMIT, method="HEAD"),
        ask(webserver, SET_LIMIT, Origin="http://evil.example"),
        ask(webserver, SET_LIMIT, Host="evil.example"),
        ask(webserver, SET_LIMIT, Origin="null"),
    ]
    assert [status for status, _ in refused] == [405, 405, 403, 403, 403]
    assert limits(webserver) == []
    assert ask(webserver, SET_LIMIT, Origin=f"http://{webserver}")[0] == 200
    assert limits(webserver) == ["planted"]


def test_subscriptions_of_the_own_page_work_and_of_others_do_not(webserver):
    address = f"ws://{webserver}/graphql"
    with connect(address, origin=f"http://{webserver}", subprotocols=["graphql-ws"]) as page:
        page.send(json.dumps({"type": "connection_init"}))
        assert json.loads(page.recv(timeout=300)) == {"type": "connection_ack"}
    for options in ({"origin": "http://evil.example"}, {"additional_headers": {"Host": "evil.example"}}):
        with pytest.raises(InvalidStatus) as refused, connect(address, subprotocols=["graphql-ws"], **options):
            pass
        assert refused.value.response.status_code == 403
