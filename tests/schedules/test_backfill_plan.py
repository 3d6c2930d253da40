"""The plan of a backfill within a budget."""

import shutil

import dagster as dg
import pytest

from assets.turbofan.keys import regional_key
from resources.materializations.staleness import Staleness
from schedules.backfill_goal import Todo
from schedules.backfill_plan import Budget, Planner
from sinet_pipelines.backfills.history import RUN, SECONDS, PastRun, Step
from tests.deployed import deployment_at
from tests.inventory import EAST

RAW = regional_key(EAST, "raw_telemetry")


@pytest.fixture(scope="module")
def staleness(landed, definitions, tmp_path_factory):
    home = shutil.copytree(landed, tmp_path_factory.mktemp("budgets") / "home")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Staleness(instance, definitions.resolve_asset_graph(), deployment_at(home))


def planner_of(staleness, *, fixed, per_day):
    """A planner that knows three past runs, whose step took so many seconds and so many for each day."""
    planner = Planner(staleness, look_s=0.0)
    runs = [
        PastRun(
            str(days),
            (Step(RAW.to_user_string(), days, {SECONDS: fixed + per_day * days}), Step(RUN, 0, {SECONDS: 0.0})),
        )
        for days in (1, 2, 5)
    ]
    vars(planner)["history"] = runs
    return planner


def test_a_plan_within_a_budget_is_not_split_so_that_it_exceeds_it(staleness):
    """A second run costs one second: under 5 % of 24 days and, barely, of 12; but it does not fit."""
    todo = Todo({RAW: frozenset(staleness.landed(RAW)[-24:])})
    planner = planner_of(staleness, fixed=1.0, per_day=1.6)
    plan = planner.plan(todo, budget=Budget(SECONDS, 20.5, "20.5 seconds"))
    assert (plan.todo.count, len(plan.left_out)) == (12, 12)
    assert plan.estimates[SECONDS].value == pytest.approx(1.0 + 12 * 1.6)
    assert plan.split.reason == "as for all days; a smaller one would exceed the budget"
