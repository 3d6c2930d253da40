from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.cmapss import CmapssSubset, read_cmapss
from sinet_pipelines.applications.turbofan.fleet import Fleet
from sinet_pipelines.applications.turbofan.fleet_layout import commissioning_slots, lay_out
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, DROP
from sinet_pipelines.errors import FleetError
from tests.inventory import NAMES

FIRST = date(2026, 3, 1)
FLEET = Fleet("plant", False, FIRST, regions=NAMES)
REGIONS = ("EAST", "WEST", "NULL_ISLAND")


def _rows(lengths):
    units = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    cycles = np.concatenate([np.arange(1, n + 1) for n in lengths])
    channels = {name: units * 1000.0 + cycles + k for k, name in enumerate(CHANNELS)}
    return pl.DataFrame({"unit": units, "cycle": cycles} | channels).cast({"unit": pl.Int32, "cycle": pl.Int32})


def _subset(history, live, name="FD001"):
    rul = pl.DataFrame({"unit": range(1, len(live) + 1), "rul_cycles": range(10, 10 + len(live))}).cast(pl.Int32)
    return CmapssSubset(name, _rows(history), _rows(live), rul, "0" * 64)


def _all(layout):
    return pl.concat(p.rows.with_columns(region=pl.lit(p.region), day=pl.lit(p.day)) for p in layout.days)


@pytest.fixture(scope="module")
def laid_out():
    subset = _subset([200, 150, 300, 180, 220, 260, 140], [19, 90, 41, 120])
    return subset, lay_out(subset, FLEET)


def test_every_row_lands_once_with_its_channels_unchanged(laid_out):
    subset, layout = laid_out
    rows = _all(layout)
    assert rows.columns[: len(DROP.columns)] == [column.name for column in DROP.columns]
    back = rows.with_columns(number=pl.col("unit").str.slice(-4).cast(pl.Int32)).sort("role", "number", "cycle")
    both = pl.concat([subset.train, subset.test])
    assert back.select(CHANNELS).equals(both.select(CHANNELS))


def test_units_are_named_after_subset_role_and_number(laid_out):
    rows = _all(laid_out[1])
    assert set(rows.filter(role="history")["unit"]) == {f"FD001-{n:04d}" for n in range(1, 8)}
    assert set(rows.filter(role="live")["unit"]) == {f"FD001-L{n:04d}" for n in range(1, 5)}


def test_the_region_is_the_unit_number_modulo_the_regions(laid_out):
    rows = _all(laid_out[1]).with_columns(number=pl.col("unit").str.slice(-4).cast(pl.Int32))
    for remainder, region in ((1, "EAST"), (2, "WEST"), (0, "NULL_ISLAND")):
        assert set(rows.filter(pl.col("number") % 3 == remainder)["region"]) == {region}


def test_a_row_is_on_the_day_of_its_instant_and_cycles_follow_in_even_steps(laid_out):
    rows = _all(laid_out[1])
    assert (rows["recorded_at"].dt.date() == rows["day"]).all()
    steps = rows.sort("unit", "cycle").select(pl.col("recorded_at").diff().over("unit")).drop_nulls().to_series()
    assert set(steps) == {timedelta(hours=24) / 40}


def test_every_live_engine_flies_until_the_last_slot_of_the_last_day(laid_out):
    last = _all(laid_out[1]).filter(role="live").group_by("unit").agg(pl.col("recorded_at").max())["recorded_at"]
    assert set(last) == {datetime(2026, 3, 25, 23, 24, tzinfo=UTC)}


def test_the_first_history_engine_of_each_region_begins_at_the_very_start(laid_out):
    begun = _all(laid_out[1]).filter(role="history").group_by("region").agg(pl.col("recorded_at").min())
    assert dict(begun.iter_rows()) == dict.fromkeys(REGIONS, datetime(2026, 3, 1, tzinfo=UTC))


def test_failures_are_the_last_cycles_of_history_engines(laid_out):
    _, layout = laid_out
    failures = pl.concat(layout.failures.values())
    last = _all(layout).filter(role="history").sort("cycle").group_by("unit").last()
    joined = failures.join(last, on="unit", suffix="_row")
    assert joined.height == failures.height == 7
    assert (joined["cycle"] == joined["cycle_row"]).all()
    assert (joined["failed_at"] == joined["recorded_at"]).all()
    assert failures["failed_at"].max() <= datetime(2026, 3, 25, 23, 24, tzinfo=UTC)


def test_truth_is_about_the_last_row_of_live_engines_and_known_after_it(laid_out):
    truth = pl.concat(laid_out[1].truth.values()).sort("unit")
    assert truth.rows() == [
        (f"FD001-L{n:04d}", cycle, 9 + n, datetime(2026, 3, 26, tzinfo=UTC))
        for n, cycle in enumerate([19, 90, 41, 120], start=1)
    ]


def test_the_same_fleet_is_laid_out_the_same_and_another_seed_otherwise():
    subset = _subset(list(range(150, 210, 2)), [40])
    layout = _all(lay_out(subset, FLEET))
    assert _all(lay_out(subset, FLEET)).equals(layout)
    assert not _all(lay_out(subset, Fleet("plant", False, FIRST, seed=1, regions=NAMES))).equals(layout)


def test_regions_may_be_listed_otherwise(laid_out):
    layout = lay_out(laid_out[0], Fleet("plant", False, FIRST, regions=("WEST", "EAST")))
    rows = _all(layout)
    assert set(rows.filter(unit="FD001-0001")["region"]) == {"WEST"}
    assert set(rows["region"]) == {"WEST", "EAST"}


def test_instants_of_an_uneven_day_stay_on_their_day():
    fleet = Fleet("plant", False, FIRST, cycles_per_day=37, regions=NAMES)
    rows = _all(lay_out(_subset([90], [80]), fleet))
    assert (rows["recorded_at"].dt.date() == rows["day"]).all()
    assert rows.group_by("unit", "day").len()["len"].max() == 37
    assert rows.filter(unit="FD001-0001", cycle=2)["recorded_at"].item() == datetime(
        2026, 3, 1, 0, 38, 55, 135_135, tzinfo=UTC
    )  # 24 h / 37 is 38 min 55.135135... s


def test_copies_and_conflicts_of_a_cycle_land_at_its_instant():
    subset = _subset([50], [40])
    first = subset.train[:1]
    train = pl.concat([first, first, first.with_columns(pl.col("t2_degr") + 1), subset.train[1:]])
    rows = _all(lay_out(CmapssSubset("FD001", train, subset.test, subset.rul, ""), FLEET))
    assert rows.filter(role="history", cycle=1)["recorded_at"].n_unique() == 1
    assert rows.filter(role="history").height == 52


def test_a_text_lands_as_it_came():
    subset = _subset([50], [40])
    train = subset.train.with_columns(pl.col("cycle").cast(pl.String), pl.col("nc_rpm").cast(pl.String))
    train[7, "cycle"], train[3, "nc_rpm"] = "eight", "ERR"
    layout = lay_out(CmapssSubset("FD001", train, subset.test, subset.rul, ""), FLEET)
    rows = pl.concat([part.rows for part in layout.days], how="vertical_relaxed")
    assert rows.height == 90
    assert rows.filter(cycle="eight", role="history")["recorded_at"].item() == datetime(2026, 3, 1, 3, 36, tzinfo=UTC)
    assert rows.filter(nc_rpm="ERR").height == 1


def test_a_text_makes_only_its_own_days_column_text():
    subset = _subset([100], [40])
    train = subset.train.with_columns(pl.col("nc_rpm").cast(pl.String))
    train[3, "nc_rpm"] = "ERR"
    layout = lay_out(CmapssSubset("FD001", train, subset.test, subset.rul, ""), FLEET)
    assert [part.rows.schema["nc_rpm"] for part in layout.days] == [pl.String] + [pl.Float64] * 3
    clean = lay_out(subset, FLEET)
    assert all(a.rows.equals(b.rows) for a, b in zip(layout.days[1:], clean.days[1:], strict=True))


def test_an_engine_too_long_for_a_fleet_that_is_laid_out_is_refused():
    with pytest.raises(FleetError, match=r"an engine of 1001 cycles \(allowed: 1000, .*--home"):
        lay_out(_subset([1001], [40]), FLEET)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=25),
    st.integers(0, 2**32),
)
def test_commissioning_slots_are_even_begin_at_zero_and_leave_room_for_all(lengths, seed):
    lengths = np.array(lengths)
    starts = commissioning_slots(lengths, slots=400, rng=np.random.default_rng(seed))
    assert starts.min() == 0
    assert (starts + lengths <= 400).all()
    gaps = np.diff(np.sort(starts))
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_commissioning_slots_by_hand():
    # 100 slots; lengths 40, 60, 80: the last start must leave 40, the one before it 60, so s <= 60 and s / 2 <= 40
    starts = commissioning_slots(np.array([80, 60, 40]), slots=100, rng=np.random.default_rng(0))
    assert sorted(starts) == [0, 30, 60]
    assert starts[2] == 60


@pytest.mark.parametrize("subset", ["FD001", "FD003"])
class TestNasasFleet:
    @pytest.fixture
    def rows(self, nasa_folder, subset):
        return _all(lay_out(read_cmapss(nasa_folder, subset), FLEET))

    def test_no_day_of_a_region_is_empty(self, rows):
        per_day = rows.group_by("region", "day").len()
        assert per_day.height == 3 * 25
        assert per_day["len"].min() >= 40

    def test_failures_are_on_most_days_of_the_fleet_and_of_a_region(self, nasa_folder, subset):
        failures = lay_out(read_cmapss(nasa_folder, subset), FLEET).failures
        days = {region: events["failed_at"].dt.date().n_unique() for region, events in failures.items()}
        assert min(days.values()) >= 13
        assert pl.concat(failures.values())["failed_at"].dt.date().n_unique() >= 20

    def test_the_age_of_engines_says_little_of_the_date(self, rows):
        reference = rows.filter(pl.col("day").is_between(FLEET.day(5), FLEET.day(14)), pl.col("role") == "history")
        assert abs(reference.select(pl.corr("cycle", pl.col("day").cast(pl.Int32))).item()) < 0.2
