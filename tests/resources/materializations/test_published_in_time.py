"""A tick publishes what it reads in a limited time, and counts no rows; `sinet status` counts them."""

import errno
from datetime import UTC, datetime

import pytest

import sinet_pipelines.ingestion.inspection as inspection
from resources.materializations.published import Published
from resources.materializations.publishing import DAYS_FILE
from resources.materializations.zones import Zones
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.simulator import simulate_records
from sinet_pipelines.ingestion.arrivals import file_arrivals, has_arrivals
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.reading_time import ReadingTime
from sinet_pipelines.schemas.publication import REGION_DIGESTS
from tests.deployed import deployment_at
from tests.zones import landing_zone

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def zone(tmp_path):
    """The zone of milling with one drop of three records."""
    found = landing_zone(tmp_path, MILLING.data)
    land(found, 0, 3)
    return found


def land(zone, first, last):
    return zone.land("EAST", DAY.date(), name="a", rows=simulated(first, last))


def simulated(first, last):
    import polars as pl

    rows = simulate_records(records=10, seed=1)[first:last].with_columns(recorded_at=pl.lit(DAY))
    return rows.select(c.name for c in MILLING.data.drop.columns)


def read(zone, **more):
    """What is published of the zone, in a new reader."""
    published = Published(deployment_at(zone.home), **more)
    return published.of("EAST", "milling"), published


def in_time():
    return {"reading": ReadingTime(3600.0)}


def test_a_tick_counts_no_row_and_a_later_reader_does(zone, monkeypatch):
    counted, real = [], LandingZone.row_names
    monkeypatch.setattr(LandingZone, "row_names", lambda *given: (counted.append(1), real(*given))[1])
    found, _ = read(zone, **in_time())
    assert (found.counts[DAY.date()].sent, counted) == (0, [])
    assert read(zone)[0].counts[DAY.date()].sent == 3
    assert read(zone, **in_time())[0].counts[DAY.date()].sent == 3
    assert len(counted) == 1


def test_a_tick_without_a_change_publishes_nothing(zone):
    read(zone, **in_time())
    tables = Published(deployment_at(zone.home)).tables("EAST", "milling")
    before = tables.health(REGION_DIGESTS).version
    read(zone, **in_time())
    assert tables.health(REGION_DIGESTS).version == before


def test_what_was_not_read_in_time_is_left_to_the_next_tick(zone, monkeypatch):
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    found, published = read(zone, reading=ReadingTime(0.0))
    assert (found.days, published.left) == ({}, {("EAST", "milling"): ["2026-03-01"]})
    found, published = read(zone, **in_time())
    assert (list(found.days), published.left) == ([DAY.date()], {})


def test_a_drop_that_lands_after_the_zone_was_listed_is_found_by_the_next_tick(zone):
    deployment = deployment_at(zone.home)
    zones = Zones(deployment)
    zones.state("EAST", "milling")
    before, _ = read(zone)
    land(zone, 3, 5)
    read(zone, zones=zones, **in_time())
    assert read(zone, **in_time())[0].days[DAY.date()].drops == before.days[DAY.date()].drops + 1


def test_arrivals_begin_once_every_day_was_read_so_that_no_old_drop_counts_as_new(zone, monkeypatch):
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    tables = Published(deployment_at(zone.home)).tables("EAST", "milling")
    read(zone, reading=ReadingTime(0.0))
    assert not has_arrivals(tables)
    read(zone, **in_time())
    assert file_arrivals(tables)["was_there"].to_list() == [True]
    land(zone, 3, 5)
    read(zone, **in_time())
    assert sorted(file_arrivals(tables)["was_there"]) == [False, True]


def test_each_zone_has_a_share_of_the_time_whatever_the_others_have_to_read(zone, monkeypatch):
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    deployment = deployment_at(zone.home)
    last = deployment.inventory.names[-1]
    zone.land(last, DAY.date(), name="b", rows=simulated(3, 5))
    reading = ReadingTime(4.0)
    reading._spend(1000.0)  # the zones before the last one have many files
    published = Published(deployment, reading)
    assert list(published.of(last, "milling").days) == [DAY.date()]


def test_a_file_that_could_not_be_read_is_read_by_the_next_tick_although_nothing_changed(zone, monkeypatch):
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    real = inspection._look_into

    def fails(*what):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(inspection, "_look_into", fails)
    assert len(read(zone, **in_time())[0].unused) == 1
    monkeypatch.setattr(inspection, "_look_into", real)
    assert read(zone, **in_time())[0].unused == ()


def test_a_day_that_new_code_has_not_read_in_time_keeps_its_entry(zone, monkeypatch):
    before, _ = read(zone, **in_time())
    (zone.home / DAYS_FILE).unlink()
    monkeypatch.setattr(inspection, "_FOUND", inspection.OrderedDict())
    monkeypatch.setattr("sinet_pipelines.monitoring.publication.code_of_publishing", lambda: "newer")
    monkeypatch.setattr("resources.materializations.publishing.code_of_publishing", lambda: "newer")
    found, published = read(zone, reading=ReadingTime(0.0))
    assert published.left
    assert found.days == before.days
