"""Requests to a time-series store: tokens that rotate, servers that are slow, full, gone, or send rows elsewhere."""

import ssl

import pytest

from sinet_pipelines.errors import ForbiddenError, StorageError, UnreachableError, UsageError
from sinet_pipelines.inventory.time_series import StoreKind, TimeSeries
from sinet_pipelines.time_series import connection
from sinet_pipelines.time_series.connection import Connection, token_of
from sinet_pipelines.time_series.stores import open_store
from tests.loopback import free_port
from tests.time_series import LineServer


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(connection, "PAUSE_S", 0.01)


@pytest.fixture
def server():
    found = LineServer()
    yield found
    found.stop()


def settings_of(url, **more):
    return TimeSeries(url, ("turbofan/validated_telemetry",), kind=StoreKind.LINE_PROTOCOL, **more)


def write(server, lines=("a b=1 1",), **more):
    return open_store("EAST", settings_of(server.url, **more)).write(list(lines))


def test_lines_go_to_the_url_with_its_query(server):
    assert write(server, ["a b=1 1", "a b=2 2"]) == ""
    assert server.lines == ["a b=1 1", "a b=2 2"]
    assert server.requests[0][0] == "/api/v2/write?org=plant&bucket=all%20rows"
    assert "Authorization" not in server.requests[0][1]


def test_a_store_that_is_full_or_busy_for_a_moment_is_sent_the_lines_again(server):
    server.answers = [(503, {}), (429, {"Retry-After": "0"}), (500, {})]
    assert write(server) == ""
    assert server.lines == ["a b=1 1"]
    assert len(server.requests) == 4


def test_a_store_that_stays_full_is_reported_with_its_answer(server):
    server.answers = [(503, {})] * 9
    with pytest.raises(UnreachableError, match=r"does not take rows: it answers 503 \(5 attempts\); start it, or give"):
        write(server)
    assert len(server.requests) == 5


def test_a_store_that_is_gone_is_reported():
    url = f"http://127.0.0.1:{free_port()}/write"
    with pytest.raises(UnreachableError, match=r"does not take rows: Connection refused \(5 attempts\)"):
        open_store("EAST", settings_of(url)).write(["a b=1 1"])


def test_a_store_that_answers_too_slowly_is_reported(server, monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(connection, "TRIES", 2)
    server.delay_s = 0.4
    with pytest.raises(UnreachableError, match="timed out"):
        write(server)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_no_row_goes_there(server, status):
    other = LineServer()
    try:
        server.answers = [(status, {"Location": f"{other.url}&token=s3cret"})]
        with pytest.raises(StorageError, match=r"redirects to http://127.0.0.1, which is not followed") as found:
            write(server)
        assert other.requests == []
        assert "s3cret" not in str(found.value)
    finally:
        other.stop()


def test_a_path_that_the_store_lacks_is_reported_at_once(server):
    server.answers = [(404, {})]
    with pytest.raises(StorageError, match=r"answers 404: it is no store of kind line-protocol"):
        write(server)
    assert len(server.requests) == 1


def test_a_rotated_token_works_with_the_next_request(server, tmp_path):
    file = tmp_path / "my token #1"
    file.write_text("first\n")
    file.chmod(0o600)
    store = open_store("EAST", settings_of(server.url, token_file=str(file), token_scheme="Token"))
    store.write(["a b=1 1"])
    file.write_text("second")
    store.write(["a b=1 1"])
    assert [headers["Authorization"] for _, headers, _ in server.requests] == ["Token first", "Token second"]


def test_a_rejected_token_is_reported_with_its_place_and_without_it(server, tmp_path):
    file = tmp_path / "token"
    file.write_text("s3cret")
    file.chmod(0o600)
    server.answers = [(401, {})]
    with pytest.raises(ForbiddenError, match=rf"rejects the token \(status 401\); correct it in {file}") as found:
        write(server, token_file=str(file))
    assert "s3cret" not in str(found.value)


def test_a_token_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "token"
    file.write_text("a")
    file.chmod(0o640)
    with pytest.raises(UsageError, match=r"mode 640, allowed: 600.*chmod 600"):
        token_of("EAST", settings_of("http://127.0.0.1:1", token_file=str(file)))


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff"])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(StorageError, match="write the token into it"):
        token_of("EAST", settings_of("http://127.0.0.1:1", token_file=str(file)))


def test_a_token_may_be_in_the_environment_of_its_region():
    environ = {"SINET_EAST_TIME_SERIES_TOKEN": " a "}
    assert token_of("EAST", settings_of("http://127.0.0.1:1"), environ) == "a"
    assert token_of("WEST", settings_of("http://127.0.0.1:1"), environ) == ""


@pytest.mark.parametrize("token", ["s3cret\nother", "s3crét", "s3\x01cret"])
def test_a_variable_without_a_token_of_one_line_is_refused_without_its_text(token):
    with pytest.raises(UsageError, match="SINET_EAST_TIME_SERIES_TOKEN has no token of one line") as found:
        token_of("EAST", settings_of("http://127.0.0.1:1"), {"SINET_EAST_TIME_SERIES_TOKEN": token})
    assert "s3" not in str(found.value)


def test_the_answer_to_lines_that_a_store_fails_on_is_not_repeated_since_it_may_have_rows(server, monkeypatch):
    monkeypatch.setattr(server, "answer", lambda body: (500, {}, f"unable to parse '{body}'".encode()))
    with pytest.raises(UnreachableError, match=r"it answers 500 \(5 attempts\)") as found:
        write(server, ["turbofan,unit=A1 t30_degr=1498.42 17"])
    assert "1498.42" not in str(found.value)


def test_a_web_page_is_no_success(server, monkeypatch):
    monkeypatch.setattr(server, "answer", lambda body: (200, {}, b" <!doctype html><title>Log in</title>"))
    with pytest.raises(StorageError, match="answers with a web page, such as the login of a proxy"):
        write(server)


def test_a_store_that_refuses_a_flush_is_counted_all_the_same(server):
    server.answers = [(404, {}), (401, {})]
    store = open_store("EAST", TimeSeries(f"http://127.0.0.1:{server.port}/vm", ("a/b",)))
    store.flush()
    store.flush()
    assert [path for path, _, _ in server.requests] == ["/vm/internal/force_flush"] * 2


def test_a_store_with_an_untrusted_certificate_is_refused_until_its_authority_is_named(own_certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_certificate)
    server = LineServer(context)
    try:
        url = f"https://127.0.0.1:{server.port}/write"
        with pytest.raises(ForbiddenError, match="is not trusted .* name its authority's file as `ca_file`"):
            open_store("EAST", settings_of(url)).write(["a b=1 1"])
        assert server.requests == []
    finally:
        server.stop()


def test_a_file_that_is_no_certificate_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(UsageError, match="is no file of certificates"):
        Connection("EAST", settings_of("https://store.example/write", ca_file=str(tmp_path / "ca.pem")))
