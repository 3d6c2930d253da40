"""Tables on an S3 store: written, replaced, looked at, and what happens where the store does not do its part."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

from sinet_pipelines.errors import AbsentError, ForbiddenError, UnreachableError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.delta import table_files
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.tables import TableStore, tables_of
from tests.loopback import free_port
from tests.sinet_pipelines.storage.test_health import DAYS, READINGS, rows
from tests.sinet_pipelines.storage.test_roots import Row
from tests.waiting import LIMIT_S

USES = {
    "read": lambda tables: tables.read(READINGS),
    "write": lambda tables: tables.replace_days(READINGS, rows(DAYS[0]), days=[DAYS[0]]),
    "health": lambda tables: tables.health(READINGS),
    "days": lambda tables: tables.days(READINGS),
    "extent": lambda tables: tables.extent(READINGS),
}
every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


@pytest.fixture
def home(tmp_path, s3_store, monkeypatch):
    """A home whose EAST is on a store, with the credentials in the environment."""
    root = Root(f"s3://{s3_store.bucket()}/plants/mill_1", endpoint_url=s3_store.url)
    settle_roots(tmp_path, [Row("EAST", root), Row("WEST")])
    monkeypatch.setenv("SINET_EAST_AT_EAST_ACCESS_KEY_ID", s3_store.key_id)
    monkeypatch.setenv("SINET_EAST_AT_EAST_SECRET_ACCESS_KEY", s3_store.secret)
    return tmp_path


@pytest.fixture
def tables(home):
    found = tables_of(home, "EAST", "mill")
    found.replace_days(READINGS, rows(*DAYS), days=DAYS)
    return found


def test_a_day_is_replaced_exactly_and_nothing_lies_on_this_machine(tables, home):
    written = tables.replace_days(READINGS, rows(DAYS[1], value=7.0), days=[DAYS[1]])
    found = tables.read(READINGS).group_by("event_date").agg(pl.col("value").sum()).sort("event_date")
    assert found["value"].to_list() == [2.0, 14.0, 2.0]
    assert written.uri == f"{tables.root}/raw/mill/readings"
    assert tables.days(READINGS) == frozenset(DAYS)
    assert tables.extent(READINGS)[0] == 6
    assert not (home / "EAST").exists()


def test_equal_rows_have_the_version_that_they_have_in_a_folder(tables, home):
    local = tables_of(home, "WEST", "mill").replace_days(READINGS, rows(*DAYS), days=DAYS)
    assert tables.replace_days(READINGS, rows(*DAYS), days=DAYS).data_versions == local.data_versions


def test_rows_come_in_batches_and_a_day_is_written_from_batches(tables):
    tables.replace_day_from(READINGS, lambda: iter([rows(DAYS[0], value=1.0), rows(DAYS[0], value=2.0)]), day=DAYS[0])
    found = pl.concat(tables.read_in_batches(READINGS, day=DAYS[0]))
    assert sorted(found["value"]) == [1.0, 1.0, 2.0, 2.0]


@pytest.mark.slow
def test_writers_of_different_days_at_once_all_come_through(tables):
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(4)]

    def write(day):
        for value in (1.0, 2.0, 3.0):
            tables.replace_days(READINGS, rows(day, value=value), days=[day])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, days))
    found = tables.read(READINGS).filter(pl.col("event_date").is_in(days))
    assert found["value"].to_list() == [3.0] * 8


@pytest.mark.slow
def test_writers_that_create_a_table_at_once_all_come_through(tables):
    for attempt in range(3):
        other = replace(READINGS, name=f"created_at_once_{attempt}")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda day, other=other: tables.replace_days(other, rows(day), days=[day]), DAYS))
        assert tables.days(other) == set(DAYS)


def test_a_file_that_is_gone_from_the_store_is_a_fault_of_its_day(tables):
    assert tables.health(READINGS).rows == {day.isoformat(): 2 for day in DAYS}
    assert tables.health(READINGS).is_readable
    objects = open_objects(tables.root, tables.storage_options)
    (key,) = [one.key for one in objects.walk("raw/mill/readings") if f"event_date={DAYS[2]}" in one.key]
    objects.delete(key)
    (fault,) = tables.health(READINGS).faults
    assert fault.day == DAYS[2].isoformat()
    assert "the data file is missing" in fault.message
    assert tables.health(READINGS).fault_of(day=DAYS[0].isoformat(), rows=2, version=0) is None


def test_a_table_that_was_never_written_is_empty_and_has_no_fault(home):
    tables = tables_of(home, "EAST", "saw")
    assert tables.read(READINGS).height == 0
    assert tables.health(READINGS).faults == ()
    assert tables.health(READINGS).version == -1
    assert not tables.exists(READINGS)


def test_old_files_of_a_table_are_listed_and_active_ones_are_not_among_them(tables):
    before = tables.active_files(READINGS)
    tables.replace_days(READINGS, rows(DAYS[0]), days=[DAYS[0]])
    found = table_files(tables.uri(READINGS), tables.storage_options, keep_hours=0)
    assert found.active == frozenset(tables.active_files(READINGS))
    assert found.old == found.removed == frozenset(before) - found.active
    assert len(found.old) == 1
    assert table_files(tables.uri(READINGS), tables.storage_options, keep_hours=1).old == frozenset()


@every_use
def test_a_store_that_is_down_is_one_clear_error(home, s3_store, use):
    settle_roots(home, [Row("EAST", Root("s3://sinet-east", endpoint_url=f"http://127.0.0.1:{free_port()}"))])
    with pytest.raises(UnreachableError, match="s3://sinet-east/raw/mill/readings: the store does not answer") as error:
        use(tables_of(home, "EAST", "mill"))
    require_clear(error.value, s3_store)


@every_use
def test_a_bucket_that_is_not_there_is_one_clear_error(home, s3_store, use):
    name = f"none-{secrets.token_hex(4)}"
    settle_roots(home, [Row("EAST", Root(f"s3://{name}", endpoint_url=s3_store.url))])
    with pytest.raises(AbsentError, match=f"{name}/raw/mill/readings: the store has no such bucket") as error:
        use(tables_of(home, "EAST", "mill"))
    require_clear(error.value, s3_store)


@every_use
@pytest.mark.parametrize(("status", "kind"), [(403, ForbiddenError), (503, UnreachableError)])
def test_a_store_that_refuses_or_cannot_is_one_clear_error(home, s3_store, status, kind, use):
    with answering(status) as url:
        settle_roots(home, [Row("EAST", Root("s3://sinet-east", endpoint_url=url))])
        with pytest.raises(kind, match="s3://sinet-east/raw/mill/readings: the store") as error:
            use(tables_of(home, "EAST", "mill"))
    require_clear(error.value, s3_store)


@pytest.mark.slow
@every_use
def test_a_store_that_never_answers_is_given_up_in_bounded_time(s3_store, use):
    with answering(None) as url:
        options = {
            **s3_store.options,
            "AWS_ENDPOINT_URL": url,
            "timeout": "1s",
            "max_retries": "1",
            "retry_timeout": "1s",
        }
        with pytest.raises(UnreachableError, match="the store does not answer"):
            use(TableStore("s3://sinet-east", "mill", options))


def require_clear(error, store):
    """One sentence without a credential or a request."""
    assert store.secret not in str(error)
    assert store.key_id not in str(error)
    assert "\n" not in str(error)
    assert "Error performing" not in str(error)


@contextmanager
def answering(status):
    """A store that answers every request with one status, or never: its address."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            if status is None:
                done.wait(LIMIT_S)
                return
            self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b"" if self.command == "HEAD" else b"<Error><Code>Refused</Code></Error>"
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            done.set()
            server.shutdown()
