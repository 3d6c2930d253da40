"""Sending: requests of limited size, lines that are rejected, and days that are counted."""

import datetime as dt
import time

import polars as pl
import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.inventory.time_series import StoreKind, TimeSeries
from sinet_pipelines.time_series import sending
from sinet_pipelines.time_series.lines import Lines, shape_of
from sinet_pipelines.time_series.sending import OTHER, Sent, in_requests, known_reason, remove_day, send_days, send_rows
from sinet_pipelines.time_series.stores import LineProtocol, open_store
from tests.sinet_pipelines.time_series.test_lines import READINGS, SHAPE, TYPES, row
from tests.time_series import InfluxDB, LineServer, VictoriaMetrics

DAY = dt.date(2026, 3, 1)


@pytest.fixture
def server():
    found = LineServer()
    yield found
    found.stop()


def store_of(server, kind=StoreKind.LINE_PROTOCOL):
    return open_store("EAST", TimeSeries(server.url, ("mill/readings",), kind=kind))


def readings(count, *, day=DAY, unit="A1"):
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    rows = [row(unit=unit, cycle=n, event_date=day, recorded_at=noon + dt.timedelta(seconds=n)) for n in range(count)]
    return pl.DataFrame(rows, schema=TYPES)


def test_requests_have_a_limited_number_of_lines_and_bytes(monkeypatch):
    monkeypatch.setattr(sending, "BATCH_LINES", 3)
    monkeypatch.setattr(sending, "BATCH_BYTES", 10)
    made = Lines(["a", "b", "c", "dd", "x" * 40, "eeee", "ffff", "g"], pl.Series([1]), 8, 0)
    assert list(in_requests(made)) == [["a", "b", "c"], ["dd"], ["x" * 40], ["eeee", "ffff"], ["g"]]


def test_a_line_that_is_rejected_is_set_aside_and_its_neighbours_are_sent(server):
    server.rejects = "cycle=5i"
    sent = send_rows(store_of(server), SHAPE, [readings(20)])
    assert (sent.lines, sent.set_aside, sent.reasons) == (19, 1, ("unable to parse",))
    assert len(server.lines) == 19
    assert not any("cycle=5i" in line for line in server.lines)
    assert len(server.requests) <= 10  # halves: not one request for each line


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("partial write: unable to parse 'm,unit=a\\ 7 t30=1498.42 17': bad 1498", "partial write: unable to parse"),
        ('cannot parse "12" in line "m,unit=engine\\\\ 7 cycle=12"', "cannot parse"),
        ("points beyond retention policy dropped=1", "beyond retention policy"),
        ("engine 7 had 1498.42", OTHER),
        ("status 413", "status 413"),
    ],
)
def test_a_reason_has_no_value_of_the_row(reason, shown):
    assert known_reason(reason) == shown


def test_a_store_that_rejects_every_line_ends_the_day(server, monkeypatch):
    monkeypatch.setattr(sending, "MOST_REJECTED", 4)
    server.rejects = "cycle"
    with pytest.raises(StorageError, match=r"rejects more than 4 lines of one day \(the first: .*unable to parse"):
        send_rows(store_of(server), SHAPE, [readings(20)])


def test_a_store_that_cannot_count_is_sent_each_day_once(server):
    sent, faults = send_days(store_of(server), SHAPE, {DAY: lambda: iter([readings(4), readings(3, unit="B")])})
    assert (sent[DAY].lines, sent[DAY].points, faults) == (7, 7, {})
    assert len(server.lines) == 7


class Days(LineProtocol):
    """A stand-in for a store that counts: lines by day, one day that it rejects, and rows that only a flush shows."""

    counts = True
    name = "a store"

    def __init__(self, *, rejects="none"):
        self.rejects, self.lines, self.hidden = rejects, [], []

    def write(self, lines):
        if any(self.rejects in line for line in lines):
            return "points beyond retention policy"
        self.hidden += lines
        return ""

    def flush(self):
        self.lines, self.hidden = self.lines + self.hidden, []

    def _of(self, shape, day):
        named = f"event_date={day}"
        same = [f",{name}={value}," for name, value in shape.same.items()]
        return [line for line in self.lines if named in line and all(one in line for one in same)]

    def count(self, shape, day):
        return sum(f"{shape.counted}=" in line for line in self._of(shape, day))

    def remove(self, shape, day):
        gone = self._of(shape, day)
        self.lines = [line for line in self.lines if line not in gone]


def test_a_day_whose_lines_are_all_rejected_is_a_fault_and_the_other_days_are_sent(monkeypatch):
    monkeypatch.setattr(sending, "MOST_REJECTED", 3)
    days = [DAY + dt.timedelta(days=n) for n in range(4)]
    store = Days(rejects=f"event_date={days[1]}")
    sent, faults = send_days(store, SHAPE, {day: lambda day=day: iter([readings(6, day=day)]) for day in days})
    assert list(sent) == [days[0], days[2], days[3]]
    assert list(faults) == [days[1]]
    assert "rejects more than 3 lines of one day (the first: beyond retention policy)" in faults[days[1]]
    assert len(store.lines) == 18


def test_rows_that_an_interrupted_attempt_sent_a_moment_ago_are_removed_though_no_count_shows_them():
    store = Days()
    send_rows(store, SHAPE, [readings(5)])
    assert store.count(SHAPE, DAY) == 0
    _, faults = send_days(store, SHAPE, {DAY: lambda: iter([readings(8)])})
    assert (faults, len(store.lines)) == ({}, 8)


def test_a_home_leaves_the_rows_of_another_one():
    store, days = Days(), {DAY: lambda: iter([readings(5)])}
    first, other = (shape_of("mill", READINGS, region="EAST", home=home) for home in ("a1", "b2"))
    send_days(store, first, days)
    assert not remove_day(store, other, DAY)
    _, faults = send_days(store, other, days)
    assert (faults, store.count(first, DAY), store.count(other, DAY)) == ({}, 5, 5)


def test_rows_without_the_counted_field_do_not_disagree_with_the_count():
    rows = pl.concat([readings(2), readings(1, unit="B").with_columns(cycle=pl.lit(None, pl.Int32))])
    sent = send_rows(Days(), SHAPE, [rows])
    assert (sent.lines, sent.agrees_with(2), sent.agrees_with(1)) == (3, True, False)


def test_days_that_a_store_drops_are_waited_for_no_longer_than_rows_need_to_appear(monkeypatch):
    monkeypatch.setattr(sending, "STILL_S", 0.05)
    monkeypatch.setattr(sending, "POLL_S", 0.01)
    monkeypatch.setattr(Days, "flush", lambda self: None)
    began = time.monotonic()
    sent, faults = send_days(Days(), SHAPE, {DAY: lambda: iter([readings(2)])})
    assert time.monotonic() - began < sending.SEEN_S / 2
    assert sent == {}
    assert "has 0 rows of 2 that were sent" in faults[DAY]


@pytest.mark.parametrize(("stored", "agrees"), [(7, False), (8, True), (9, True), (10, True), (11, False)])
def test_rows_of_one_instant_may_count_once_or_each(stored, agrees):
    assert Sent(lines=10, counted=10, points=8).agrees_with(stored) == agrees


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    found = VictoriaMetrics(tmp_path_factory.mktemp("metrics"))
    yield found
    found.stop()


@pytest.mark.slow
def test_a_day_is_sent_again_in_place_of_what_the_store_has(metrics):
    store, other = store_of(metrics, StoreKind.VICTORIA_METRICS), DAY + dt.timedelta(days=1)
    before = readings(6)
    rows = {DAY: lambda: iter([before]), other: lambda: iter([readings(2, day=other)])}
    sent, faults = send_days(store, SHAPE, rows)
    assert ({day: one.lines for day, one in sent.items()}, faults) == ({DAY: 6, other: 2}, {})
    corrected = readings(4).with_columns(t30_degr=pl.lit(7.25))
    sent, faults = send_days(store, SHAPE, {DAY: lambda: iter([corrected])})
    assert (sent[DAY].lines, faults) == (4, {})
    values = metrics.rows('{__name__="mill_readings_t30_degr",event_date="2026-03-01"}')
    assert [value for _, _, value in values] == [7.25] * 4
    assert len(metrics.rows('{__name__="mill_readings_cycle",event_date="2026-03-02"}')) == 2


@pytest.mark.slow
def test_the_store_reads_escaped_names_as_they_are(metrics):
    day, units = DAY + dt.timedelta(days=10), ['a,b c=d"e', "back\\", "new\nline", "ü 日本"]
    rows = pl.concat(readings(1, day=day, unit=unit) for unit in units)
    send_days(store_of(metrics, StoreKind.VICTORIA_METRICS), SHAPE, {day: lambda: iter([rows])})
    found = metrics.rows('{__name__="mill_readings_cycle",event_date="2026-03-11"}')
    assert {dict(labels)["unit"] for labels, _, _ in found} == {unit.replace("\n", "\\n") for unit in units}
    assert {(at, value) for _, at, value in found} == {(1773230400000, 0)}


@pytest.mark.slow
def test_influxdb_counts_and_removes_days_and_names_lines_that_it_rejects(tmp_path):
    server = InfluxDB(tmp_path / "influx")
    try:
        store, other = store_of(server, StoreKind.INFLUXDB), DAY + dt.timedelta(days=1)
        rows = pl.concat([readings(4), readings(1, unit="ends in \\")])
        days = {DAY: lambda: iter([rows]), other: lambda: iter([readings(2, day=other)])}
        sent, faults = send_days(store, SHAPE, days)
        assert ({day: (one.lines, one.set_aside) for day, one in sent.items()}, faults) == (
            {DAY: (4, 1), other: (2, 0)},
            {},
        )
        assert sent[DAY].reasons == ("unable to parse: invalid tag format",)
        send_days(store, SHAPE, {DAY: lambda: iter([readings(3)])})
        assert [store.count(SHAPE, day) for day in (DAY, other, None)] == [3, 2, 5]
    finally:
        server.stop()


@pytest.mark.slow
def test_a_day_that_is_older_than_the_stores_retention_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "SEEN_S", 3.0)
    server = VictoriaMetrics(tmp_path / "brief", retention="1d")
    try:
        store, day = store_of(server, StoreKind.VICTORIA_METRICS), dt.date(2020, 1, 1)
        sent, faults = send_days(store, SHAPE, {day: lambda: iter([readings(3, day=day)])})
        assert sent == {}
        assert "has 0 rows of 3 that were sent: its retention may be shorter than the day is old" in faults[day]
    finally:
        server.stop()


@pytest.mark.slow
def test_a_day_whose_sending_was_interrupted_a_moment_ago_is_in_the_store_once(metrics):
    """The store cannot count the first rows yet when the day is sent again, so the day is removed after that."""
    day = DAY + dt.timedelta(days=20)
    store = store_of(metrics, StoreKind.VICTORIA_METRICS)
    send_rows(store, SHAPE, [readings(5, day=day)])
    _, faults = send_days(store, SHAPE, {day: lambda: iter([readings(8, day=day)])})
    assert faults == {}
    assert len(metrics.rows('{__name__="mill_readings_cycle",event_date="2026-03-21"}')) == 8
