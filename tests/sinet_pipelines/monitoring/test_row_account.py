"""The account of the rows: each landed row has one state, and the account closes at every moment."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import (
    DROP,
    QUARANTINE,
    SENSORS,
    SETTINGS,
    VALIDATED_TELEMETRY,
)
from sinet_pipelines.ingestion.drops import encode_drop
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.misplaced import misplaced_in_home
from sinet_pipelines.monitoring.row_account import NOTHING, account_rows, read_counts, total
from sinet_pipelines.storage.cache import write_cache
from sinet_pipelines.storage.tables import TableStore
from tests.inventory import NAMES
from tests.zones import landing_zone

DAYS = [date(2026, 3, 1), date(2026, 3, 2)]


def drop(day, *, cycles):
    """Sane rows of one engine, as a plant drops them."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    middle = {c.name: [(c.minimum + c.maximum) / 2] * len(cycles) for c in SETTINGS + SENSORS}
    return pl.DataFrame(
        {
            "unit": ["A-0001"] * len(cycles),
            "role": ["history"] * len(cycles),
            "cycle": pl.Series(cycles, dtype=pl.Int32),
            "recorded_at": [start + timedelta(minutes=cycle) for cycle in cycles],
            **middle,
        }
    )


@pytest.fixture
def zone(tmp_path):
    return landing_zone(tmp_path, TELEMETRY)


@pytest.fixture
def tables(tmp_path):
    return TableStore(str(tmp_path / "tables"))


def keep(zone, tables, day, *, good):
    """Puts the first `good` rows of a landed day into the table and the others into quarantine."""
    rows = zone.read_day("EAST", day).rows
    tables.replace_days(VALIDATED_TELEMETRY, rows[:good], days=[day])
    tables.replace_days(QUARANTINE, rows[good:].with_columns(reason=pl.lit("out of bounds")), days=[day])


def test_nothing_landed_is_nothing(zone, tables):
    assert account_rows(zone, tables, region="EAST") == NOTHING
    assert NOTHING.closes


def test_a_row_sent_twice_is_one_row_and_a_duplicate(zone, tables):
    zone.land("EAST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[1, 2, 3]))
    zone.land("EAST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[3, 4]))
    account = account_rows(zone, tables, region="EAST")
    assert (account.sent, account.landed, account.duplicates, account.pending) == (5, 4, 1, 4)


def test_rows_are_in_tables_or_quarantined_or_withheld_or_pending(zone, tables):
    for day in DAYS:
        zone.land("EAST", day, name="A", rows=drop(day, cycles=[1, 2, 3]))
    keep(zone, tables, DAYS[0], good=2)
    account = account_rows(zone, tables, region="EAST", failed_days=[DAYS[1]])
    assert (account.in_tables, account.quarantined, account.withheld, account.pending) == (2, 1, 3, 0)
    assert account_rows(zone, tables, region="EAST").pending == 3


def test_a_row_that_was_in_the_tables_before_its_day_failed_is_still_there(zone, tables):
    zone.land("EAST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[1, 2]))
    keep(zone, tables, DAYS[0], good=2)
    zone.land("EAST", DAYS[0], name="B", rows=drop(DAYS[0], cycles=[3]))
    account = account_rows(zone, tables, region="EAST", failed_days=[DAYS[0]])
    assert (account.in_tables, account.withheld) == (2, 1)
    assert account.closes


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drops=st.lists(
        st.tuples(st.sampled_from(DAYS), st.lists(st.integers(1, 12), min_size=1, max_size=6, unique=True)), max_size=5
    ),
    good=st.integers(0, 6),
    failed=st.sets(st.sampled_from(DAYS)),
)
def test_the_account_closes_whatever_landed_and_however_far_it_came(tmp_path_factory, drops, good, failed):
    home = tmp_path_factory.mktemp("home")
    zone, tables = landing_zone(home, TELEMETRY), TableStore(str(home / "tables"))
    for day, cycles in drops:
        zone.land("EAST", day, name="A", rows=drop(day, cycles=cycles))
    for day in zone.days("EAST")[:1]:
        keep(zone, tables, day, good=good)
    account = account_rows(zone, tables, region="EAST", failed_days=failed)
    assert account.closes
    assert account.sent == sum(len(cycles) for _, cycles in {(day, tuple(cycles)) for day, cycles in drops})


def test_regions_add_up(zone, tables, tmp_path):
    zone.land("EAST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[1]))
    zone.land("WEST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[2, 3]))
    west = TableStore(str(tmp_path / "west"))
    both = total([account_rows(zone, tables, region="EAST"), account_rows(zone, west, region="WEST")])
    assert (both.sent, both.pending) == (3, 3)


def test_a_day_that_did_not_change_is_counted_once_and_one_that_changed_again(zone, tables, monkeypatch):
    for day in DAYS:
        zone.land("EAST", day, name="A", rows=drop(day, cycles=[1, 2, 3]))
        keep(zone, tables, day, good=2)
    known = {}
    first = account_rows(zone, tables, region="EAST", known=known)
    counted = []
    names = LandingZone.row_names
    monkeypatch.setattr(LandingZone, "row_names", lambda self, *day: (counted.append(day[1]), names(self, *day))[1])
    assert account_rows(zone, tables, region="EAST", known=known) == first
    assert counted == []
    zone.land("EAST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[4]))
    tables.replace_days(QUARANTINE, tables.read(QUARANTINE).clear(), days=[DAYS[1]])
    after = account_rows(zone, tables, region="EAST", known=known)
    assert counted == DAYS
    assert (after.landed, after.pending, after.quarantined) == (7, 2, 1)
    assert after.closes


def test_a_file_that_is_gone_from_a_table_is_noticed_though_its_day_was_counted(zone, tables):
    zone.land("EAST", DAYS[0], name="A", rows=drop(DAYS[0], cycles=[1, 2, 3]))
    keep(zone, tables, DAYS[0], good=3)
    before = tables.files_by_day(VALIDATED_TELEMETRY)
    for path in Path(tables.uri(VALIDATED_TELEMETRY)).glob("event_date=*/*.parquet"):
        path.unlink()
    assert tables.files_by_day(VALIDATED_TELEMETRY) != before


def test_kept_counts_that_are_none_are_passed_over(tmp_path):
    write_cache(tmp_path / "rows.json", {"a": [1, 1, 1, 0], "b": [1], "c": "x", "d": [1, 1, 1, True]})
    assert read_counts(tmp_path / "rows.json") == {"a": [1, 1, 1, 0]}


_PLACES = (
    "EAST/2026-03-01",
    "EAST/2026-03-02",
    "EAST/1970-01-01",
    "EAST/27-11-2026",
    "NORTH/2026-03-01",
    "landing",
    "EAST",
)
_NAMES = (
    "a.parquet",
    "b.parquet",
    "x.parquet/part-0.parquet",
    "role=live/p.parquet",
    "_metadata",
    ".c.parquet",
    "d.csv",
)
_FIRST = date(2026, 3, 1)


def placed(place):
    """Where a place of the test lies in a home: in the zone of its region, or in `landing` at the top."""
    region, _, rest = place.partition("/")
    return place if place == "landing" else f"{region}/landing/turbofan/{rest}".rstrip("/")


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(
        st.tuples(st.sampled_from(_PLACES), st.sampled_from(_NAMES)),
        st.one_of(st.sampled_from(["junk", "nothing", "link"]), st.sets(st.integers(1, 4), min_size=1)),
        max_size=7,
    ),
    good=st.integers(0, 6),
)
def test_the_account_closes_over_any_mixture_of_files_and_each_file_is_counted_or_listed(tmp_path_factory, files, good):
    home = tmp_path_factory.mktemp("home")
    zone, tables = landing_zone(home, TELEMETRY, also=frozenset(["NORTH"])), TableStore(str(home / "tables"))
    for (place, name), content in files.items():
        file = home / placed(place) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content == "link":
            file.symlink_to(home / "elsewhere.parquet")
        elif isinstance(content, str):
            file.write_bytes(content.encode() if content == "junk" else b"")
        else:
            file.write_bytes(encode_drop(drop(_FIRST, cycles=sorted(content)), DROP))
    for day in zone.days("EAST")[:1]:
        keep(zone, tables, day, good=good)
    accounts = {name: account_rows(zone, tables, region=name, known={}) for name in ("EAST", "NORTH")}
    assert all(account.closes for account in accounts.values())
    for region, account in accounts.items():
        drops = {
            (place, "=" in name, frozenset(content))  # what a Hive folder says is part of a drop
            for (place, name), content in files.items()
            if place.startswith(f"{region}/2026") or place == f"{region}/1970-01-01"
            if not isinstance(content, str) and name[0] not in "._"
        }
        assert account.sent == sum(len(cycles) for *_, cycles in drops)
    unused = (*zone.unused(first_day=_FIRST, today=DAYS[-1]), *misplaced_in_home(home, ["turbofan"], NAMES))
    listed = {one.path for one in unused}
    for (place, name), content in files.items():
        is_ignored = name[0] in "._"
        is_used = place in ("EAST/2026-03-01", "EAST/2026-03-02") and not isinstance(content, str)
        assert (f"{placed(place)}/{name}" in listed) == (not is_ignored and not is_used)
