"""A fleet's drift: the planted one on its day, none where nothing drifts, and why a day is not judged."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.cmapss import read_cmapss
from sinet_pipelines.applications.turbofan.features.regimes import find_regimes, setting_cells
from sinet_pipelines.applications.turbofan.fleet import Fleet
from sinet_pipelines.applications.turbofan.fleet_layout import lay_out
from sinet_pipelines.applications.turbofan.planted_faults import DRIFT_DAY, plant_faults
from sinet_pipelines.applications.turbofan.schemas.monitoring import INPUT_DRIFT
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from sinet_pipelines.applications.turbofan.watched import WATCHED
from sinet_pipelines.monitoring.drift import compare
from sinet_pipelines.monitoring.input_drift import (
    LEVEL,
    Watched,
    days_reference,
    drift_inputs,
    judge_day,
    reference_span,
)
from sinet_pipelines.schemas.monitoring import input_drift as input_drift_contract
from sinet_pipelines.storage.tables import content_hash, to_contract
from tests.inventory import NAMES

FIRST_DAY = date(2026, 1, 1)
FIRST_JUDGED = 15


def day(number):
    return FIRST_DAY + timedelta(days=number)


def features_by_region(subset, *, days=25, faults=(), seed=0):
    """What is watched of a laid out subset, by region: sensors by regime, as `window_features` has them."""
    fleet = Fleet("test", True, FIRST_DAY, days=days, seed=seed, regions=NAMES)
    parts = lay_out(subset, fleet).days
    if faults:
        planted, _ = plant_faults(parts, fleet, seed=seed)
        drifting = {(part.region, part.day): part for part in planted if part.region == fleet.regions[-1]}
        late = [drifting[part.region, part.day] for part in parts if is_late(part, fleet)]
        parts = [part for part in parts if not is_late(part, fleet)] + late
    rows = pl.concat(part.rows.with_columns(event_date=pl.lit(part.day), region=pl.lit(part.region)) for part in parts)
    regimes = find_regimes(setting_cells(rows.filter(pl.col("role") == "history")))
    z = regimes.standardise(rows.select(CHANNELS).to_numpy()).astype(np.float32)
    found = rows.select("region", "unit", "cycle", "event_date").hstack(pl.DataFrame(z, schema=list(WATCHED.features)))
    return {
        region: part.select(WATCHED.columns) for (region,), part in found.partition_by("region", as_dict=True).items()
    }


def is_late(part, fleet):
    return part.region == fleet.regions[-1] and part.day >= fleet.day(DRIFT_DAY)


def alarms(by_region, *, days=25):
    """Region, day and features of every drifted day."""
    found = []
    for region, features in by_region.items():
        reference = days_reference(features, WATCHED, first_day=FIRST_DAY)
        judged = [judge_day(features, reference, day=day(number)) for number in range(FIRST_JUDGED, days)]
        found += [(region, one.day, one.drifted) for one in judged if one.drifted]
    return sorted(found)


@pytest.fixture(scope="module")
def quiet():
    """NULL_ISLAND of an undisturbed fleet of the default size."""
    return features_by_region(simulate_fleet())["NULL_ISLAND"]


def test_the_planted_drift_is_found_on_its_day_in_its_sensor_and_on_every_day_after():
    found = alarms(features_by_region(simulate_fleet(), faults=("drift",)))
    assert found == [("NULL_ISLAND", day(number), ["t24_degr_z_last"]) for number in range(DRIFT_DAY, 25)]


@pytest.mark.slow
@pytest.mark.parametrize(("history", "live", "seed"), [(120, 60, 0), (288, 144, 1)])
def test_an_undisturbed_fleet_of_60_days_raises_no_more_than_one_false_alarm(history, live, seed):
    fleet = simulate_fleet(history_engines=history, live_engines=live, seed=seed)
    assert len(alarms(features_by_region(fleet, days=60, seed=seed), days=60)) <= 1


@pytest.mark.parametrize("subset", ["FD001", "FD003"])
def test_real_engines_that_wear_and_fail_in_one_way_or_two_raise_no_more_than_one(nasa_folder, subset):
    assert len(alarms(features_by_region(read_cmapss(nasa_folder, subset)))) <= 1


@pytest.mark.slow
def test_fleets_of_many_seeds_raise_fewer_false_alarms_than_the_level_allows():
    fleets = [features_by_region(simulate_fleet(seed=seed), days=60, seed=seed) for seed in range(10, 20)]
    judged = 10 * 3 * 45
    assert sum(len(alarms(fleet, days=60)) for fleet in fleets) <= 5  # of 1.35 expected: 5 or fewer in 99.7 % of cases
    assert judged * LEVEL == pytest.approx(1.35)


@pytest.mark.parametrize(
    "sensor", [name for name in WATCHED.features if name.startswith(("t30", "p30", "nc_", "phi", "bpr"))]
)
def test_a_shift_of_three_standard_deviations_is_found_on_one_day_in_any_sensor(quiet, sensor):
    reference = days_reference(quiet, WATCHED, first_day=FIRST_DAY)
    shifted = quiet.with_columns(pl.col(sensor) + 3)
    assert judge_day(shifted, reference, day=day(18)).drifted == [sensor]


def test_readings_that_go_missing_are_drift(quiet):
    reference = days_reference(quiet, WATCHED, first_day=FIRST_DAY)
    holes = quiet.with_columns(t30_degr_z_last=pl.lit(np.nan, pl.Float32))
    assert judge_day(holes, reference, day=day(20)).drifted == ["t30_degr_z_last"]


def test_a_judged_day_has_a_row_a_sensor_as_the_contract_says_the_worst_first(quiet):
    found = judge_day(quiet, days_reference(quiet, WATCHED, first_day=FIRST_DAY), day=day(20))
    assert to_contract(found.features, INPUT_DRIFT).num_rows == len(WATCHED.features)
    assert set(found.features["feature"]) == set(WATCHED.features)
    assert found.features["p_value"].is_sorted()
    assert (found.features["p_adjusted"] >= found.features["p_value"]).all()
    assert found.features["rows_worth"].max() <= found.features["rows"][0]


def test_days_until_the_reference_ends_make_it_and_are_not_judged(quiet):
    reference = days_reference(quiet, WATCHED, first_day=FIRST_DAY)
    assert (reference.first, reference.last) == reference_span(FIRST_DAY) == (day(5), day(14))
    for number in (0, 5, 14):
        found = judge_day(quiet, reference, day=day(number))
        assert found.features.is_empty()
        assert found.drifted == []
        assert "are the reference" in found.why_not
    assert not judge_day(quiet, reference, day=day(15)).why_not


def test_a_handful_of_engines_is_no_reference(quiet):
    few = quiet.filter(pl.col("unit").is_in(quiet["unit"].unique().sort()[:4]))
    found = judge_day(few, days_reference(few, WATCHED, first_day=FIRST_DAY), day=day(20))
    assert found.features.is_empty()
    assert "(a reference needs 10)" in found.why_not


def test_without_any_row_of_the_reference_days_nothing_is_judged(quiet):
    late = quiet.filter(pl.col("event_date") > day(14))
    found = judge_day(late, days_reference(late, WATCHED, first_day=FIRST_DAY), day=day(20))
    assert found.why_not.startswith("0 engines from")


def test_rows_of_an_age_that_no_reference_engine_had_are_counted_and_passed_over(quiet):
    reference = days_reference(quiet.filter(pl.col("cycle") <= 100), WATCHED, first_day=FIRST_DAY)
    today = quiet.filter(pl.col("event_date") == day(20))
    found = judge_day(quiet, reference, day=day(20))
    old = today.filter(pl.col("cycle") > 100).height
    assert found.passed_over == old
    assert found.features["rows"][0] == today.height - old
    nobody = judge_day(quiet.filter(pl.col("cycle") > 100), reference, day=day(20))
    assert nobody.why_not == "none of the engines has a known age"


def test_a_day_is_made_anew_when_its_features_or_once_judged_those_of_the_reference_change():
    versions = {day(number): f"v{number}" for number in range(20)}
    before = drift_inputs(versions, first_day=FIRST_DAY, code_version="1")

    def changed(**new):
        after = drift_inputs({**versions, **new.pop("days", {})}, first_day=FIRST_DAY, **{"code_version": "1", **new})
        return {number for number in range(20) if after[day(number)] != before[day(number)]}

    assert changed(days={day(17): "late row"}) == {17}
    assert changed(days={day(7): "late row"}) == {7, 15, 16, 17, 18, 19}
    assert changed(days={day(2): "late row"}) == {2}
    assert changed(code_version="2") == set(range(20))


@pytest.mark.parametrize("seed", range(5))
def test_rows_in_another_order_give_the_same_table_bit_by_bit(quiet, seed):
    """The files of a table lie in another order in each home."""
    shuffled = quiet.sample(fraction=1, shuffle=True, seed=seed)
    found = [
        judge_day(rows, days_reference(rows, WATCHED, first_day=FIRST_DAY), day=day(20)).features
        for rows in (quiet, shuffled)
    ]
    assert content_hash(found[0], INPUT_DRIFT) == content_hash(found[1], INPUT_DRIFT)


def test_the_last_digits_of_a_processor_change_nothing(quiet, monkeypatch):
    from sinet_pipelines.monitoring import input_drift

    reference = days_reference(quiet, WATCHED, first_day=FIRST_DAY)
    before = judge_day(quiet, reference, day=day(20)).features

    def elsewhere(*args, **kwargs):
        found = compare(*args, **kwargs)
        return replace(found, psi=found.psi * (1 + 2e-13), p_value=found.p_value * (1 - 2e-13))

    monkeypatch.setattr(input_drift, "compare", elsewhere)
    after = judge_day(quiet, reference, day=day(20)).features
    assert content_hash(before, INPUT_DRIFT) == content_hash(after, INPUT_DRIFT)


def test_rows_that_speak_for_themselves_are_compared_without_groups():
    """Another application: independent rows of two kinds, of which one kind drifts."""
    rng = np.random.default_rng(0)
    watched = Watched(
        features=("load",),
        group="product",
        order="number",
        groups="products",
        contract=input_drift_contract("products"),
        strata=2,
        stratum_of=lambda rows: rows["kind"].to_numpy(),
        stratum="kind",
        is_grouped=False,
        least=100,
    )
    count = 20 * 200
    rows = pl.DataFrame(
        {
            "product": [f"P{n:05d}" for n in range(count)],
            "number": np.arange(count),
            "event_date": [day(n // 200) for n in range(count)],
            "kind": rng.integers(0, 2, count),
        }
    ).with_columns(load=pl.Series(rng.normal(size=count)) + 5.0 * pl.col("kind"))
    reference = days_reference(rows, watched, first_day=FIRST_DAY)
    assert judge_day(rows, reference, day=day(16)).drifted == []
    mixed = rows.filter((pl.col("kind") == 1) | (pl.col("event_date") <= day(14)))
    assert judge_day(mixed, reference, day=day(16)).drifted == []  # another mix of kinds is no drift
    moved = rows.with_columns(load=pl.col("load") + 1.5 * (pl.col("kind") == 1))
    found = judge_day(moved, reference, day=day(16))
    assert found.drifted == ["load"]
    assert to_contract(found.features, watched.contract).column("products").to_pylist() == [200]
    few = days_reference(rows.filter(pl.col("event_date") == day(5)).head(99), watched, first_day=FIRST_DAY)
    assert "99 products" in judge_day(rows, few, day=day(16)).why_not
