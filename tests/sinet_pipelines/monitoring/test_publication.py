"""What a region publishes: kept where nothing changed, made again where it is lost, and no row among it."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.features.inputs import DIGEST
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    DROP,
    QUARANTINE,
    RAW_TELEMETRY,
    SENSORS,
    SETTINGS,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.monitoring import publication
from sinet_pipelines.monitoring.publication import RegionView, publish, read_digest
from sinet_pipelines.monitoring.published import read_publication
from sinet_pipelines.monitoring.row_account import DayCounts
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.publication import REGION_DIGESTS
from sinet_pipelines.storage.tables import TableStore
from tests.zones import landing_zone

DAYS = [date(2026, 3, 1), date(2026, 3, 2)]


def drop(day, *, cycles):
    """Sane rows of one engine, as a plant drops them."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    middle = {c.name: [(c.minimum + c.maximum) / 2] * len(cycles) for c in SETTINGS + SENSORS}
    rows = {"unit": ["A-0001"] * len(cycles), "role": ["history"] * len(cycles)}
    instants = {"recorded_at": [start + timedelta(minutes=cycle) for cycle in cycles]}
    return pl.DataFrame({**rows, "cycle": pl.Series(cycles, dtype=pl.Int32), **instants, **middle})


@pytest.fixture
def view(tmp_path):
    """A region with two days: raw and validated rows of the first are made, of the second raw rows."""
    zone, tables = landing_zone(tmp_path, TELEMETRY), TableStore(str(tmp_path / "EAST"), "turbofan")
    for day in DAYS:
        zone.land("EAST", day, name="A", rows=drop(day, cycles=[1, 2, 3]))
    found = RegionView("EAST", zone, tables, contracts=TURBOFAN.tables, digests=TURBOFAN.digests)
    for day in DAYS:
        make_raw(found, day)
    keep(found, DAYS[0], good=2)
    return found


def make_raw(view, day):
    rows = view.zone.read_day("EAST", day).rows.with_columns(ingested_at=pl.lit(datetime(2026, 3, 9, tzinfo=UTC)))
    view.tables.replace_days(RAW_TELEMETRY, rows, days=[day])


def keep(view, day, *, good):
    rows = view.zone.read_day("EAST", day).rows
    view.tables.replace_days(VALIDATED_TELEMETRY, rows[:good], days=[day])
    view.tables.replace_days(QUARANTINE, rows[good:].with_columns(reason=pl.lit("out of bounds")), days=[day])


def versions(view):
    return [view.tables.health(table).version for table in (REGION_DIGESTS, DIGEST.contract)]


def test_what_is_published_is_read_as_it_was_seen(view):
    (view.zone.folder("EAST") / "a.csv").write_text("1")
    view.zone.folder("EAST").joinpath("events", "truth").mkdir(parents=True)
    view.zone.folder("EAST").joinpath("events", "truth", "a.parquet").write_text("no table")
    found = publish(view)
    assert read_publication(view.tables, "EAST") == found
    assert found.counts == {DAYS[0]: DayCounts(3, 3, 2, 1), DAYS[1]: DayCounts(3, 3, 0, 0)}
    assert {day: one.content for day, one in found.days.items()} == {d: view.zone.fingerprint("EAST", d) for d in DAYS}
    assert set(found.doubt) == set(DAYS)  # the same cycles on two days
    assert found.events["truth"].content == view.zone.events_fingerprint("EAST", "truth")
    assert (found.events["truth"].rows, found.events["failures"].rows) == (1, 0)
    assert [one.path for one in found.unused] == [
        "EAST/landing/turbofan/a.csv",
        "EAST/landing/turbofan/events/truth/a.parquet",
    ]
    assert found.tables[RAW_TELEMETRY.name] == view.tables.health(RAW_TELEMETRY)
    assert found.tables["live_sequences"].version == -1


def test_only_digests_and_counts_are_published(view):
    publish(view)
    assert {REGION_DIGESTS.data_class, DIGEST.contract.data_class} == {DataClass.FEATURE}
    measured = {column.name for column in DROP.columns} - {"unit"}
    for contract in (REGION_DIGESTS, DIGEST.contract):
        assert measured.isdisjoint(view.tables.read(contract).columns)
    units = read_digest(view.tables, DIGEST.contract)
    assert units.select("day", "unit").rows() == [(DAYS[0], "A-0001")]


def test_where_nothing_changed_nothing_is_counted_or_written(view, monkeypatch):
    publish(view)
    before, counted = versions(view), []
    for name in ("row_names", "count_events"):
        monkeypatch.setattr(LandingZone, name, lambda *_: counted.append(1))
    monkeypatch.setattr(publication, "doubted_rows", lambda *_, **__: counted.append(1))
    publish(view)
    assert (versions(view), counted) == (before, [])


def test_a_drop_that_comes_late_changes_its_day_and_its_withdrawal_brings_the_publication_back(view):
    before = publish(view)
    file = view.zone.land("EAST", DAYS[1], name="late", rows=drop(DAYS[1], cycles=[4]))
    after = publish(view)
    assert after.days[DAYS[0]] == before.days[DAYS[0]]
    assert after.counts[DAYS[1]] == DayCounts(4, 4, 0, 0)
    content = file.read_bytes()
    file.unlink()
    assert publish(view) == before
    file.write_bytes(content)
    assert publish(view) == after
    shutil.rmtree(file.parent)
    assert set(publish(view).days) == {DAYS[0]}
    assert publish(view).tables[RAW_TELEMETRY.name].rows == {str(day): 3 for day in DAYS}  # held, and no drop is left


def test_rows_that_are_written_and_not_published_are_found_by_the_next(view):
    before = publish(view)
    keep(view, DAYS[1], good=3)  # and the step is killed here
    assert read_publication(view.tables, "EAST") == before
    assert before.tables[VALIDATED_TELEMETRY.name].version < view.tables.health(VALIDATED_TELEMETRY).version
    after = publish(view)
    assert after.counts[DAYS[1]] == DayCounts(3, 3, 3, 0)
    assert set(read_digest(view.tables, DIGEST.contract)["day"]) == set(DAYS)


@pytest.mark.parametrize("contract", [REGION_DIGESTS, DIGEST.contract], ids=lambda contract: contract.name)
@pytest.mark.parametrize("damage", ["a file cut", "a log entry cut", "deleted"])
def test_a_published_table_that_is_damaged_or_deleted_is_made_again(view, contract, damage):
    before = publish(view)
    rows = view.tables.read(contract)
    folder = Path(view.tables.uri(contract))
    if damage == "deleted":
        shutil.rmtree(folder)
    else:
        next(folder.rglob("*.parquet" if damage == "a file cut" else "*.json")).write_bytes(b"{")
    if contract is REGION_DIGESTS:
        assert read_publication(view.tables, "EAST") is None
    else:
        assert read_digest(view.tables, contract) is None
    assert publish(view) == before
    assert view.tables.read(contract).equals(rows)


def test_a_damaged_raw_table_is_published_with_its_fault_and_without_doubt(view):
    publish(view)
    path = next(Path(view.tables.uri(RAW_TELEMETRY)).rglob("*.parquet"))
    path.unlink()
    found = publish(view)
    (fault,) = found.tables[RAW_TELEMETRY.name].faults
    assert (fault.path, fault.found) == (path, "the data file is missing")
    assert found.doubt == {}
    assert read_publication(view.tables, "EAST") == found


def test_what_other_code_published_is_made_anew(view, monkeypatch):
    publish(view)
    counted, names = [], LandingZone.row_names
    monkeypatch.setattr(publication, "code_of_publishing", lambda: "other")
    monkeypatch.setattr(LandingZone, "row_names", lambda self, *day: (counted.append(day[1]), names(self, *day))[1])
    publish(view)
    assert counted == DAYS


def test_two_that_publish_at_once_leave_one_publication(view):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: publish(view), range(4)))
    assert read_publication(view.tables, "EAST") == found[0] == found[-1]
    assert view.tables.health(REGION_DIGESTS).is_readable
