"""A batch is stored while the next one is read: how much is in memory, what is acknowledged, and what an error ends."""

import json
import threading
import time

import pyarrow as pa
import pytest

from sinet_pipelines.errors import StorageError, UnreachableError
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams.ingester import FIRST, Ingester, Limits
from sinet_pipelines.ingestion.streams.rotation import run_with_rotation
from sinet_pipelines.ingestion.streams.source import Message
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.tables import tables_of
from tests.waiting import LIMIT_S, until
from tests.zones import landing_zone

DATA = landed_rows("plant", "samples", (Column("unit", pa.string(), "a machine"),), key=("unit", "recorded_at"))
ROWS = 10  # of a batch
COUNT = 60


class Numbers:
    """A stream of numbered messages; as many as asked for are there at once."""

    name, problem, expired, loss = "kafka/plant", "", 0, ""

    def __init__(self, most_unacknowledged=1 << 30):
        self.most_unacknowledged = most_unacknowledged
        self.taken, self.acknowledged, self.most, self.is_closed = 0, 0, 0, False

    def start(self, position):
        """Begins after the stored offset."""
        self.taken = position(0).offset + 1

    def take(self, most, *, wait_s):
        """The next messages."""
        numbers = range(self.taken, min(self.taken + min(most, 4), COUNT))
        self.taken += len(numbers)
        self.most = max(self.most, self.taken - self.acknowledged)
        row = {"recorded_at": "2026-03-01T10:00:00Z"}
        return [Message(0, one, json.dumps({"unit": f"M{one}", **row}).encode(), 0) for one in numbers]

    def receipt(self):
        """How many were taken."""
        return self.taken

    def acknowledge(self, receipt):
        """Notes how many are stored."""
        self.acknowledged = receipt

    def close(self):
        """Notes the end."""
        self.is_closed = True


def an_ingester(home, source, **limits):
    tables = StreamTables(tables_of(home, "EAST", "plant"), DATA)
    chosen = Limits(**{"rows": ROWS, "seconds": 60.0, "land_s": 60.0, **limits})
    return Ingester(source, tables, zone=landing_zone(home, DATA), region="EAST", limits=chosen)


def numbers_of(home):
    rows = StreamTables(tables_of(home, "EAST", "plant"), DATA).rows_of(1, 1_000)
    return [int(unit[1:]) for unit in rows["unit"]]


class Held:
    """Holds the first commit of rows until it is let go."""

    def __init__(self, tables):
        self._store, tables.store_rows = tables.store_rows, self
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, *arguments):
        """Stores the rows, once it may."""
        self.began.set()
        assert self.go.wait(LIMIT_S)
        self._store(*arguments)


def test_one_batch_is_read_while_another_is_stored_and_no_more(tmp_path):
    source = Numbers()
    made = an_ingester(tmp_path, source)
    held = Held(made._tables)
    running = threading.Thread(target=made.run, args=(lambda: made.totals.messages == COUNT,), kwargs={"report": int})
    running.start()
    until(lambda: held.began.is_set() and source.taken == 2 * ROWS, every_s=0.01)
    running.join(0.3)
    assert (source.taken, source.acknowledged) == (2 * ROWS, 0)
    held.go.set()
    running.join(LIMIT_S)
    assert numbers_of(tmp_path) == list(range(COUNT))
    assert (source.acknowledged, source.is_closed, made.totals.batches) == (COUNT, True, COUNT // ROWS)


@pytest.mark.parametrize("most", [1, 7, ROWS, 2 * ROWS])
def test_no_more_messages_are_taken_than_may_be_unacknowledged(tmp_path, most):
    source = Numbers(most)
    made = an_ingester(tmp_path, source)
    made.run(lambda: made.totals.messages >= ROWS, report=lambda: None)
    assert source.most <= most
    assert numbers_of(tmp_path) == list(range(source.taken))


def test_an_error_of_the_store_ends_the_reading_without_an_acknowledgement(tmp_path):
    source = Numbers()
    made = an_ingester(tmp_path, source)

    def refuse(*_):
        raise StorageError("no space is left; free some")

    made._tables.store_rows = refuse
    with pytest.raises(StorageError, match="no space is left"):
        made.run(lambda: False, report=lambda: None)
    assert (source.acknowledged, source.is_closed, made.totals.messages) == (0, True, 0)


def test_rows_are_stored_once_while_small_files_are_merged_beside_it(tmp_path):
    source = Numbers()
    made = an_ingester(tmp_path, source, rows=3, compact_batches=2)
    made.run(lambda: made.totals.messages == COUNT, report=lambda: None)
    assert numbers_of(tmp_path) == list(range(COUNT))
    merges = [one for one in made._tables.opened.history() if one["operation"] == "OPTIMIZE"]
    assert merges
    assert source.acknowledged == COUNT


def test_a_message_is_readable_within_the_seconds_of_a_batch_though_no_more_arrive(tmp_path):
    source = Numbers()
    made, end = an_ingester(tmp_path, source, rows=1_000, seconds=0.05), time.monotonic() + LIMIT_S
    made.run(lambda: made.totals.messages == COUNT or time.monotonic() > end, report=lambda: None)
    assert time.monotonic() < end  # the end of the reading did not store them
    assert numbers_of(tmp_path) == list(range(COUNT))


class ChangedOnce:
    """Options of a client that change when the source has sent some messages."""

    def __init__(self, source):
        self.source, self.is_changed = source, False

    def have_changed(self):
        """Whether they changed now."""
        if self.is_changed or self.source.taken < ROWS:
            return False
        self.is_changed = True
        return True


def test_a_store_that_does_not_answer_after_new_options_ends_the_reading_and_loses_nothing(tmp_path):
    first = Numbers()
    made = an_ingester(tmp_path, first)
    store, calls = made._tables.store_rows, []

    def fail_once(*arguments):
        calls.append(True)
        if len(calls) == 3:
            raise UnreachableError("s3://plant: the store does not answer; try again")
        store(*arguments)

    made._tables.store_rows = fail_once
    ends = {"stop": lambda: False, "idle_s": 0.5, "report": lambda: None, "notify": lambda _: None}
    with pytest.raises(StorageError, match="the store does not answer") as caught:
        run_with_rotation(made, ChangedOnce(first), Numbers, **ends)
    assert not isinstance(caught.value, UnreachableError)  # which is waited for, as for a broker
    again = an_ingester(tmp_path, Numbers())
    again.run(lambda: numbers_of(tmp_path)[-1:] == [COUNT - 1], report=lambda: None)
    assert numbers_of(tmp_path) == list(range(COUNT))


class Lists(Numbers):
    """A stream whose messages are lists of 50 rows, with as many at once as are taken."""

    def __init__(self):
        super().__init__()
        self.mosts = []

    def take(self, most, *, wait_s):
        """The next messages."""
        self.mosts.append(most)
        numbers = range(self.taken, min(self.taken + most, 400))
        self.taken += len(numbers)
        row = {"unit": "M1", "recorded_at": "2026-03-01T10:00:00Z"}
        return [Message(0, one, json.dumps([row] * 50).encode(), 0) for one in numbers]


def test_as_many_messages_are_taken_as_have_the_rows_of_a_batch(tmp_path):
    source = Lists()
    made = an_ingester(tmp_path, source, rows=1_000)
    made.run(lambda: made.totals.messages >= 100 and source.taken >= 400, report=lambda: None)
    assert source.mosts[0] <= FIRST
    assert max(source.mosts[1:]) <= 1_000 // 50
    assert made.totals.rows == 400 * 50


def test_the_totals_have_the_first_ignored_columns_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.streams.ingester.UNKNOWN", 3)
    source = Numbers()
    real = source.take
    source.take = lambda most, *, wait_s: [
        one._replace(payload=one.payload.replace(b"{", b'{"x%d": 1, ' % one.offset))
        for one in real(most, wait_s=wait_s)
    ]
    made = an_ingester(tmp_path, source)
    made.run(lambda: made.totals.messages == COUNT, report=lambda: None)
    assert len(made.totals.unknown) == 3


def test_a_merge_that_fails_is_named_and_reading_goes_on(tmp_path):
    source = Numbers()
    made = an_ingester(tmp_path, source, rows=3, compact_batches=2)

    def fail():
        raise UnreachableError("the store does not answer; try again")

    made._tables.compact = fail
    made.run(lambda: made.totals.messages == COUNT, report=lambda: None)
    assert made.unmerged == "small files are not merged: the store does not answer; try again"
    assert (source.acknowledged, numbers_of(tmp_path)) == (COUNT, list(range(COUNT)))
