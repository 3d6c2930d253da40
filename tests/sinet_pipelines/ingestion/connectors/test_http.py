"""Downloads that break off, lie about their ranges, change, are too large, or lead to another host."""

import base64
import hashlib
import io

import pytest

from sinet_pipelines.errors import DiskError, ForbiddenError, SourceError, UnreachableError, UsageError
from sinet_pipelines.ingestion.connectors.client import Client
from sinet_pipelines.ingestion.connectors.download import Download
from tests.full_disks import full_disk
from tests.outside import as_csv
from tests.pulls import landed, pull, some_rows, units
from tests.web_servers import WebServer


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.connectors.client.PAUSE_S", 0.0)


@pytest.fixture
def server():
    found = WebServer()
    found.files["/rows.csv"] = as_csv(some_rows(0, 2_000))
    yield found
    found.stop()


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


def of_file(server, name="Range"):
    """A header of each request for the file."""
    return [headers.get(name) for path, headers in server.requests if path == "/rows.csv"]


def is_whole(home):
    return landed(home) == units(0, 2_000)


def test_a_download_that_breaks_off_is_resumed_where_it_ended(server, home):
    server.breaks["/rows.csv"] = [10_000, 20_000]
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)
    assert of_file(server) == [None, "bytes=10000-", "bytes=30000-"]
    assert all(one.startswith('"') for one in of_file(server, "If-Range")[1:])


def test_a_server_that_ignores_the_range_is_read_from_the_start(server, home):
    server.breaks["/rows.csv"], server.ignores_range = [10_000, 20_000], True
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)


def test_a_range_that_begins_earlier_is_written_where_it_begins(server, home):
    server.breaks["/rows.csv"], server.range_shift = [10_000], 4_096
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)


def test_a_file_that_changes_between_two_pieces_is_read_from_the_start(server, home):
    server.breaks["/rows.csv"] = [10_000]
    real, changed = server.answer, as_csv(some_rows(0, 30))

    def answer(request):
        real(request)
        server.files["/rows.csv"] = changed

    server.answer = answer
    pull(f"{server.url}/rows.csv", home)
    assert landed(home) == units(0, 30)


def test_a_download_goes_on_in_the_next_pull(server, home):
    server.breaks["/rows.csv"] = [5_000, 0, 0, 0, 0]
    with pytest.raises(UnreachableError, match=r"rows.csv does not answer \(5,000 bytes are here, the next pull cont"):
        pull(f"{server.url}/rows.csv", home)
    assert landed(home) == []
    server.requests.clear()
    pull(f"{server.url}/rows.csv", home)
    assert of_file(server)[0] == "bytes=5000-"
    assert is_whole(home)
    assert list((home / "cache").glob("*.part")) == []


def test_an_unchanged_file_is_not_sent_again(server, home):
    pull(f"{server.url}/rows.csv", home)
    server.requests.clear()
    made = pull(f"{server.url}/rows.csv", home)
    assert [path for path, _ in server.requests] == ["/rows.csv"]
    assert of_file(server, "If-None-Match")[0].startswith('"')
    assert (made.totals.rows, made.source.notes.unchanged) == (0, 1)


def test_a_server_without_etags_is_compared_by_content(server, home):
    server.has_etag = False
    for rows in (2_000, 0):
        assert pull(f"{server.url}/rows.csv", home).totals.rows == rows
    assert is_whole(home)


def test_the_checksum_beside_the_file_is_compared(server, home):
    right = hashlib.sha256(server.files["/rows.csv"]).hexdigest()
    server.files["/rows.csv.sha256"] = f"{'0' * 64}  other.csv\n{right.upper()} *rows.csv\n".encode()
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)


@pytest.mark.parametrize("where", ["beside", "option"])
def test_a_file_with_another_checksum_lands_nothing(server, home, where):
    server.files["/rows.csv.sha256"] = b"0" * 64 if where == "beside" else hashlib.sha256(b"").hexdigest().encode()
    with pytest.raises(SourceError, match=r"has the SHA-256 .* \(expected: 00000000"):
        pull(f"{server.url}/rows.csv", home, {} if where == "beside" else {"sha256": "0" * 64})
    assert landed(home) == []


def test_a_page_in_the_place_of_the_checksum_is_none(server, home):
    server.files["/rows.csv.sha256"] = b"<!DOCTYPE html><html></html>"
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)


def test_a_checksum_file_without_a_checksum_is_refused(server, home):
    server.files["/rows.csv.sha256"] = b"d41d8cd98f00b204e9800998ecf8427e  rows.csv"
    with pytest.raises(SourceError, match="has no SHA-256"):
        pull(f"{server.url}/rows.csv", home)


@pytest.mark.parametrize(
    "option", [{"user": "me", "password": "s3cret"}, {"token": "s3cret"}, {"headers": {"X-Key": "s3cret"}}]
)
def test_credentials_go_to_their_host_and_to_no_other(server, home, option):
    other = WebServer()
    other.files["/rows.csv"] = server.files["/rows.csv"]
    server.redirects["/moved.csv"] = "/there.csv"
    server.redirects["/there.csv"] = f"{other.url}/rows.csv"
    pull(f"{server.url}/moved.csv", home, option)
    other.stop()
    assert is_whole(home)
    assert "s3cret" not in str(other.requests)
    sent = [headers for path, headers in server.requests if path in ("/moved.csv", "/there.csv")]
    secret = base64.b64encode(b"me:s3cret").decode() if "user" in option else "s3cret"
    assert [secret in str(headers) for headers in sent] == [True] * 2


def test_a_redirect_to_a_file_of_this_machine_is_refused(server, home):
    server.redirects["/rows.csv"] = "ftp://127.0.0.1/rows.csv"
    with pytest.raises(SourceError, match="redirects from http to ftp, which is not followed"):
        pull(f"{server.url}/rows.csv", home)


def test_a_wrong_password_is_one_sentence_without_it(server, home):
    server.authorization = "Bearer other"
    with pytest.raises(ForbiddenError, match=r"rejects the credentials \(status 401\)") as found:
        pull(f"{server.url}/rows.csv?key=s3cret", home, {"token": "s3cret"})
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize(("status", "error"), [(404, SourceError), (410, SourceError), (500, UnreachableError)])
def test_an_answer_without_the_file_is_one_sentence(server, home, status, error):
    server.status["/rows.csv"] = status
    with pytest.raises(error, match=f"answers {status}"):
        pull(f"{server.url}/rows.csv", home)


def test_a_file_above_the_limit_is_refused_before_it_is_read(server, home):
    with pytest.raises(SourceError, match=r"bytes or more \(allowed: 1,000\); raise the option max_bytes"):
        pull(f"{server.url}/rows.csv", home, {"max_bytes": 1_000})
    assert list((home / "cache").glob("**/*.part")) == []


def test_a_file_with_a_hidden_name_is_read(server, home):
    server.files["/_rows.csv"] = server.files["/rows.csv"]
    pull(f"{server.url}/_rows.csv", home)
    assert is_whole(home)


def test_a_name_without_a_suffix_is_given_as_an_option(server, home):
    server.files["/export"] = server.files["/rows.csv"]
    pull(f"{server.url}/export?all=1", home, {"file_name": "rows.csv"})
    assert is_whole(home)


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"a b": "c"}},
        {"headers": {"X": "\u0142"}},
        {"max_bytes": "1"},
        {"sha256": "abc"},
        {"headers": {"X": "a\r\nb"}},
        {"headers": []},
        {"ca_file": "/nowhere.pem"},
    ],
)
def test_an_invalid_option_is_refused(server, home, options):
    with pytest.raises(UsageError, match=next(iter(options)) if "ca_file" not in options else "/nowhere.pem"):
        pull(f"{server.url}/rows.csv", home, options)


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret\r\nX: y", "s3cret\0", "s3cret\u0142"])
def test_a_token_that_no_header_can_have_is_refused_without_it(server, home, token):
    with pytest.raises(UsageError, match="the option token has a line end or a character") as found:
        pull(f"{server.url}/rows.csv", home, {"token": token})
    assert "s3cret" not in str(found.value)


class ShortWrites(io.FileIO):
    """A file of which one write takes 1,000 bytes at most, as on a disk that is almost full."""

    def write(self, content):
        return super().write(content[:1_000])


def test_a_short_write_is_continued(tmp_path):
    path = tmp_path / "rows.part"
    made = Download(
        Client({}), "http://127.0.0.1/", shown="rows", partial=path, most_bytes=1 << 20, report=lambda _: None
    )
    with ShortWrites(path, "ab") as file:
        made._append(file, bytes(range(256)) * 10)
    assert path.read_bytes() == bytes(range(256)) * 10


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, UnreachableError),
        (503, UnreachableError),
        (429, UnreachableError),
        (400, UnreachableError),
        (401, ForbiddenError),
    ],
)
def test_a_checksum_that_the_server_does_not_send_is_no_missing_one(server, home, status, error):
    server.status["/rows.csv.sha256"] = status
    with pytest.raises(error, match=rf"rows.csv.sha256 .*{status}"):
        pull(f"{server.url}/rows.csv", home)
    assert landed(home) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_checksum_that_is_not_there_is_none(server, home, status):
    server.status["/rows.csv.sha256"] = status  # 403: a store whose user may not list its files
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)


def test_a_busy_server_is_requested_again_for_the_checksum(server, home):
    server.status["/rows.csv.sha256"] = 503
    server.files["/rows.csv.sha256"] = b"0" * 64
    real = server.answer

    def answer(request):
        real(request)
        if request.path.endswith(".sha256"):
            server.status.pop("/rows.csv.sha256", None)

    server.answer = answer
    with pytest.raises(SourceError, match=r"has the SHA-256 .* \(expected: 00000000"):
        pull(f"{server.url}/rows.csv", home)


def test_a_full_disk_ends_the_pull_of_a_download(server, home):
    with full_disk(after_bytes=20_000), pytest.raises(DiskError, match=r"\.part cannot be used"):
        pull(f"{server.url}/rows.csv", home)
    pull(f"{server.url}/rows.csv", home)
    assert is_whole(home)


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_server(server, home):
    (home / "cache").write_text("a file in the place of the folder")
    with pytest.raises(DiskError, match="cache.*make the place writable") as found:
        pull(f"{server.url}/rows.csv", home)
    assert "does not answer" not in str(found.value)
