"""Versions of window features: corrections keep what was known, and late rows are known when they come."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.features.daily import daily_statistics
from sinet_pipelines.applications.turbofan.features.known import keep_window_versions, sequences_as_known
from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.schemas.arrival import arrivals_of, history_of
from sinet_pipelines.storage.revisions import Revision, keep_versions
from sinet_pipelines.storage.tables import TableStore
from sinet_pipelines.storage.versions import has_versions, known_at, scan_versions
from tests.sinet_pipelines.applications.turbofan.features.engines import engines

TELEMETRY = engines(70, 60).with_columns(drop_id=pl.lit("drop"))
REGIMES = find_regimes(setting_cells(TELEMETRY))
DAYS = sorted(TELEMETRY["event_date"].unique())
LATER = datetime(2026, 2, 1, tzinfo=UTC)
END = datetime.combine(DAYS[-1] + timedelta(days=1), datetime.min.time(), tzinfo=UTC)


def features_of(telemetry):
    early = telemetry.filter(pl.col("cycle") <= FIRST_CYCLES)
    return daily_statistics(telemetry, days=DAYS, first_cycles=early, regimes=REGIMES)


@pytest.fixture
def store(tmp_path):
    return TableStore(str(tmp_path), "turbofan")


def make(store, telemetry, *, arrived_at=None, now=LATER):
    """What the steps of the region do with all days."""

    def arrivals(_, hashes):
        return pl.DataFrame({"row_hash": hashes}).with_columns(
            known_from=pl.lit(arrived_at).cast(pl.Datetime("us", "UTC"))
        )

    keep_versions(store, VALIDATED_TELEMETRY, Revision(DAYS, telemetry, arrivals, at=now))
    store.replace_days(EARLY_TELEMETRY, telemetry.filter(pl.col("cycle") <= FIRST_CYCLES), days=DAYS)
    store.replace_days(VALIDATED_TELEMETRY, telemetry, days=DAYS)
    keep_window_versions(store, days=DAYS, regimes=REGIMES)
    store.replace_days(WINDOW_FEATURES, features_of(telemetry), days=DAYS)


def corrected(telemetry, cycle):
    """One engine's telemetry with a hotter cycle, as another row."""
    is_it = (pl.col("unit") == "FD00X-0001") & (pl.col("cycle") == cycle)
    return telemetry.with_columns(
        t30_degr=pl.col("t30_degr") + pl.when(is_it).then(5.0).otherwise(0.0),
        row_hash=pl.when(is_it).then(pl.lit("corrected")).otherwise("row_hash"),
    )


def same(one, other):
    return one.sort("unit", "cycle").select(other.columns).equals(other.sort("unit", "cycle"))


@pytest.mark.parametrize("cycle", [3, 30, 45])
def test_features_before_a_correction_are_those_of_the_telemetry_before_it(store, cycle):
    make(store, TELEMETRY)
    make(store, corrected(TELEMETRY, cycle), arrived_at=LATER)
    versions = scan_versions(store, WINDOW_FEATURES)
    assert same(known_at(versions, END).collect(), features_of(TELEMETRY))
    assert same(known_at(versions, LATER).collect(), features_of(corrected(TELEMETRY, cycle)))
    known = read_as_known(store, WINDOW_FEATURES, store.read(WINDOW_FEATURES))
    assert same(known, features_of(TELEMETRY))
    changed = known.filter("is_former")
    assert set(changed["unit"]) == {"FD00X-0001"}
    assert changed["cycle"].min() == cycle


def test_versions_of_some_engines_at_a_time_are_those_of_all(store):
    make(store, TELEMETRY, arrived_at=END - timedelta(days=30))
    make(store, corrected(TELEMETRY.filter(pl.col("cycle") != 44), 30), arrived_at=LATER)
    beside = [arrivals_of(WINDOW_FEATURES), history_of(WINDOW_FEATURES)]
    whole = [store.read(one).sort(pl.all()) for one in beside]
    assert whole[0].height
    assert whole[1].height
    for one in beside:
        store.replace(one, pl.DataFrame(schema=store.read(one).schema))
    keep_window_versions(store, days=DAYS, regimes=REGIMES, rows_at_once=1)
    assert [store.read(one).sort(pl.all()).equals(was) for one, was in zip(beside, whole, strict=True)] == [True, True]


def test_without_late_rows_no_version_is_kept(store):
    make(store, TELEMETRY)
    make(store, TELEMETRY)
    assert not has_versions(store, WINDOW_FEATURES)


def test_a_late_row_is_an_example_with_what_is_known_at_its_arrival(store):
    late = (pl.col("unit") == "FD00X-0001") & (pl.col("cycle") == 30)
    make(store, TELEMETRY.filter(~late))
    make(store, TELEMETRY, arrived_at=LATER)
    known = read_as_known(store, WINDOW_FEATURES, store.read(WINDOW_FEATURES))
    assert same(known.filter(late), features_of(TELEMETRY).filter(late))
    assert same(known.filter(~late), features_of(TELEMETRY.filter(~late)))


def test_sequences_hold_the_telemetry_that_was_known(store):
    at = TELEMETRY.filter(pl.col("cycle").is_in([33, 50])).select("unit", "cycle", "event_date", "row_hash")
    make(store, TELEMETRY)
    before = sequences_as_known(store, TELEMETRY, at=at)
    now = corrected(TELEMETRY, 30)
    make(store, now, arrived_at=LATER)
    assert same(sequences_as_known(store, now, at=at), before)
