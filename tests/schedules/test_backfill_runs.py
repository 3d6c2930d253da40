"""The runs of a backfill: everything once, the newest days first, each day after the days that it is computed from."""

import shutil
from datetime import date
from itertools import pairwise

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.turbofan.keys import global_key, regional_key
from resources.materializations.staleness import Staleness
from schedules.backfill_busy import being_made
from schedules.backfill_goal import Todo
from schedules.backfill_runs import cells_of, in_runs, touches
from schedules.backfills import PlannedRun
from tests.deployed import deployment_at
from tests.inventory import EAST, WEST

RAW, VALIDATED, FEATURES, DRIFT = (
    regional_key(EAST, name) for name in ("raw_telemetry", "validated_telemetry", "window_features", "input_drift")
)
REGIMES, TRAINING = global_key("operating_regimes"), global_key("training_set")


@pytest.fixture(scope="module")
def staleness(landed, definitions, tmp_path_factory):
    home = shutil.copytree(landed, tmp_path_factory.mktemp("planned") / "home")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home))


@pytest.fixture(scope="module")
def days(staleness):
    return staleness.landed(RAW)


def spans(runs):
    return [(sorted(key.path[-1] for key in run.keys), run.days) for run in runs]


def test_one_chain_of_the_same_days_is_one_run(staleness, days):
    chosen = frozenset(days[-4:])
    todo = Todo(dict.fromkeys((RAW, VALIDATED, FEATURES, DRIFT), chosen), frozenset([REGIMES, TRAINING]))
    (run,) = in_runs(staleness, todo)
    assert run == PlannedRun(frozenset([*todo.cells, REGIMES, TRAINING]), (days[-4], days[-1]))


def test_features_wait_for_the_rows_of_the_day_before_and_monitors_for_all_features(staleness, days):
    todo = Todo(dict.fromkeys((RAW, VALIDATED, FEATURES, DRIFT), frozenset(days[-3:])))
    rows, features = ["raw_telemetry", "validated_telemetry"], ["window_features"]
    third, second, last = ((day, day) for day in days[-3:])
    assert spans(in_runs(staleness, todo, days_per_run=1)) == [
        (rows, last),
        (rows, second),
        (features, last),
        ([*rows, *features], third),
        (["input_drift", *features], second),
        (["input_drift"], last),
        (["input_drift"], third),
    ]


def test_a_good_day_in_between_is_not_made_again(staleness, days):
    todo = Todo({RAW: frozenset([days[0], days[2]])})
    assert [run.days for run in in_runs(staleness, todo)] == [(days[2], days[2]), (days[0], days[0])]


def test_assets_that_days_are_computed_from_come_between_rows_and_features(staleness, days):
    todo = Todo({VALIDATED: frozenset(days[-2:]), FEATURES: frozenset(days[-2:])}, frozenset([REGIMES]))
    runs = in_runs(staleness, todo, days_per_run=1)
    order = [key for run in runs for key in (VALIDATED, REGIMES, FEATURES) if key in run.keys]  # in a run by its steps
    assert order.index(REGIMES) > max(n for n, key in enumerate(order) if key == VALIDATED)
    assert order.index(REGIMES) < min(n for n, key in enumerate(order) if key == FEATURES)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_day_is_made_once_and_after_what_it_reads(staleness, days, data):
    some = st.frozensets(st.sampled_from(days[:9]))
    keys = (RAW, VALIDATED, FEATURES, DRIFT, regional_key(WEST, "raw_telemetry"))
    todo = Todo({key: found for key in keys if (found := data.draw(some))})
    runs = in_runs(staleness, todo, days_per_run=data.draw(st.integers(1, 9)))
    made = [(key, day) for run in runs for key, found in cells_of(run, todo).items() for day in found]
    assert sorted(made) == sorted((key, day) for key, found in todo.cells.items() for day in found)
    position = {
        cell: n
        for n, run in enumerate(runs)
        for key, found in cells_of(run, todo).items()
        for cell in [(key, d) for d in found]
    }
    for (key, day), at in position.items():
        for before in {RAW: [], VALIDATED: [RAW], FEATURES: [VALIDATED], DRIFT: [FEATURES]}.get(key, []):
            assert position.get((before, day), at) <= at
        if key == FEATURES:
            earlier = days[days.index(day) - 1] if days.index(day) else day
            assert position.get((VALIDATED, earlier), at) <= at
    raw = [cells_of(run, todo)[RAW] for run in runs if RAW in run.keys]
    assert all(min(newer) > max(older) for newer, older in pairwise(raw))


def run_of(instance, status, *, keys=(RAW,), **tags):
    instance.add_run(dg.DagsterRun(job_name="all", status=status, tags=tags, asset_selection=frozenset(keys)))


RANGE = {"dagster/asset_partition_range_start": "2026-03-02", "dagster/asset_partition_range_end": "2026-03-03"}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (RANGE, [date(2026, 3, 2), date(2026, 3, 3)]),
        ({"dagster/partition": "2026-03-02"}, [date(2026, 3, 2)]),
        ({}, [None]),
        ({"dagster/partition": "no-day"}, [None]),
    ],
)
def test_what_another_run_makes_is_left_to_it(staleness, tags, expected):
    with dg.DagsterInstance.ephemeral() as instance:
        run_of(instance, dg.DagsterRunStatus.STARTED, **tags)
        run_of(instance, dg.DagsterRunStatus.SUCCESS, keys=[VALIDATED])
        busy = being_made(instance, staleness.graph)
    assert busy == [(RAW, day) for day in expected]
    mine = PlannedRun(frozenset([RAW, VALIDATED]), (date(2026, 3, 1), date(2026, 3, 2)))
    assert touches(mine, busy)
    assert not touches(PlannedRun(frozenset([VALIDATED]), mine.days), busy)


def test_days_beside_those_of_another_run_are_free(staleness):
    busy = [(RAW, date(2026, 3, 2))]
    assert not touches(PlannedRun(frozenset([RAW]), (date(2026, 3, 3), date(2026, 3, 9))), busy)
    assert touches(PlannedRun(frozenset([RAW])), busy)
