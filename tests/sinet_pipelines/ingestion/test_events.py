from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS, TRUTH_EVENTS
from sinet_pipelines.ingestion.drops import FaultKind
from tests.zones import landing_zone

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def zone(tmp_path):
    return landing_zone(tmp_path, TELEMETRY)


def _failures(units, cycle=100, at=NOW):
    return pl.DataFrame(
        {"unit": units, "cycle": [cycle] * len(units), "failed_at": [at] * len(units)},
        schema=pl.DataFrame(FAILURE_EVENTS.schema.empty_table()).schema,
    )


def _truth(unit, rul, at=NOW):
    return pl.DataFrame(
        {"unit": [unit], "cycle": [31], "rul_cycles": [rul], "known_at": [at]},
        schema=pl.DataFrame(TRUTH_EVENTS.schema.empty_table()).schema,
    )


def test_events_are_read_back_sorted_by_their_key(zone):
    zone.land_events("EAST", "failures", name="FD001", events=_failures(["b", "a"]))
    zone.land_events("EAST", "failures", name="FD003", events=_failures(["c"]))
    read = zone.read_events("EAST", "failures")
    assert read.schema == pl.DataFrame(FAILURE_EVENTS.schema.empty_table()).schema
    assert read["unit"].to_list() == ["a", "b", "c"]
    assert zone.event_faults("EAST", "failures") == ()


def test_events_stand_outside_the_days(zone):
    path = zone.land_events("EAST", "truth", name="FD001", events=_truth("a", 7))
    assert path.parent == zone.folder("EAST") / "events" / "truth"
    assert zone.days("EAST") == []


def test_landing_events_twice_changes_nothing(zone):
    first = zone.land_events("EAST", "failures", name="FD001", events=_failures(["a"]))
    mark = zone.events_fingerprint("EAST", "failures")
    assert zone.land_events("EAST", "failures", name="FD001", events=_failures(["a"])) == first
    assert zone.events_fingerprint("EAST", "failures") == mark
    zone.land_events("EAST", "failures", name="FD001", events=_failures(["b"]))
    assert zone.events_fingerprint("EAST", "failures") != mark


def test_no_events_make_no_file(zone):
    assert zone.land_events("EAST", "truth", name="A", events=_truth("a", 1).clear()) is None
    assert zone.read_events("EAST", "truth").height == 0


@pytest.mark.parametrize("names", [("first", "second"), ("second", "first")])
def test_revised_truth_holds_whichever_file_is_read_first(zone, names):
    zone.land_events("EAST", "truth", name=names[0], events=_truth("a", 7))
    zone.land_events("EAST", "truth", name=names[1], events=_truth("a", 5, NOW + timedelta(days=1)))
    assert zone.read_events("EAST", "truth")["rul_cycles"].to_list() == [5]


def test_events_that_break_their_contract_are_set_aside_and_counted(zone):
    events = pl.concat([_truth("a", 7), _truth("b", -1), _truth(None, 3)])
    zone.land_events("EAST", "truth", name="A", events=events)
    assert zone.read_events("EAST", "truth")["unit"].to_list() == ["a"]
    (fault,) = zone.event_faults("EAST", "truth")
    assert fault.kind == FaultKind.SET_ASIDE
    assert fault.message.startswith("2 events of ")


def test_files_that_hold_no_events_are_named_and_their_neighbours_go_on(zone):
    path = zone.land_events("EAST", "failures", name="A", events=_failures(["a"]))
    path.with_name("B.parquet").write_bytes(b"no table")
    pq.write_table(_failures(["c"]).drop("failed_at").to_arrow(), path.with_name("C.parquet"))
    assert zone.read_events("EAST", "failures")["unit"].to_list() == ["a"]
    path.with_name("D.parquet").write_bytes(path.read_bytes().replace(b"unit", b"\xf4nit"))
    assert zone.read_events("EAST", "failures")["unit"].to_list() == ["a"]
    faults = {fault.file: fault.kind for fault in zone.event_faults("EAST", "failures")}
    unreadable = dict.fromkeys(("B.parquet", "D.parquet"), FaultKind.UNREADABLE)
    assert faults == {**unreadable, "C.parquet": FaultKind.MISSING_COLUMN}


def test_events_of_foreign_types_are_cast(zone):
    folder = zone.folder("EAST") / "events" / "truth"
    folder.mkdir(parents=True)
    foreign = _truth("a", 7).with_columns(pl.col("cycle").cast(pl.String), pl.col("rul_cycles").cast(pl.Float64))
    pq.write_table(foreign.to_arrow(), folder / "plant.parquet")
    assert zone.read_events("EAST", "truth").equals(_truth("a", 7))
