"""How often the intervals hold the truth, measured on simulated homes with a fixed seed."""

import numpy as np
import pytest

from sinet_pipelines.backfills.estimates import NEEDED_RUNS, NOMINAL, CostModel
from sinet_pipelines.backfills.history import RUN, SECONDS, PastRun, Step
from sinet_pipelines.backfills.sizes import bytes_of_days

ASSETS = {"EAST/a": (0.4, 0.05), "EAST/b": (0.2, 0.11), "WEST/a": (0.6, 0.03)}  # seconds of a step and of a day
HOMES = 400


def took(random, name, days, load, noise):
    fixed, per_day = ASSETS[name]
    seconds = (fixed + per_day * days) * load * random.lognormal(0, noise)
    return Step(name, days, {SECONDS: float(seconds)})


def a_run(random, number, days, *, noise, shared):
    """A run whose steps have a noise of their own and one of their machine."""
    load = random.lognormal(0, shared)
    steps = [took(random, name, days, load, noise) for name in ASSETS]
    return PastRun(str(number), (*steps, Step(RUN, 0, {SECONDS: float(0.8 * load * random.lognormal(0, noise))})))


def coverage_of(*, seed, runs, noise, shared, parts):
    """The share of simulated backfills of so many runs whose interval held the truth."""
    random, inside = np.random.default_rng(seed), 0
    for _ in range(HOMES):
        history = [a_run(random, n, int(random.integers(1, 30)), noise=noise, shared=shared) for n in range(runs)]
        to_come = [a_run(random, f"new-{n}", 7, noise=noise, shared=shared) for n in range(parts)]
        planned = [Step(step.asset, step.days) for run in to_come for step in run.steps]
        inside += CostModel(history, SECONDS).estimate(planned).holds(sum(run.total(SECONDS) for run in to_come))
    return inside / HOMES


SPREAD = 3 * np.sqrt(NOMINAL * (1 - NOMINAL) / HOMES)  # three standard deviations of the measured share


@pytest.mark.parametrize("runs", [4, 9, 19])
def test_intervals_of_one_run_hold_the_truth_as_often_as_they_state(runs):
    measured = coverage_of(seed=runs, runs=runs, noise=0.1, shared=0.2, parts=1)
    print(f"{runs} past runs: {measured:.1%} of intervals of {NOMINAL:.0%} held the truth")
    assert NOMINAL - SPREAD <= measured <= 0.95


def test_intervals_of_several_runs_under_one_load_are_not_too_narrow():
    measured = coverage_of(seed=5, runs=12, noise=0.1, shared=0.2, parts=4)
    assert measured >= NOMINAL - SPREAD


def test_intervals_hold_with_heavy_noise():
    assert coverage_of(seed=6, runs=12, noise=0.6, shared=0.0, parts=1) >= NOMINAL - SPREAD


def test_too_few_past_runs_give_no_interval():
    random = np.random.default_rng(1)
    history = [a_run(random, n, 5 + n, noise=0.1, shared=0.0) for n in range(NEEDED_RUNS - 1)]
    estimate = CostModel(history, SECONDS).estimate([Step("EAST/a", 3), Step(RUN, 0)])
    assert estimate.value > 0
    assert (estimate.lower, estimate.upper) == (None, None)
    assert estimate.holds(1.0) is None


def test_no_past_run_gives_no_number():
    estimate = CostModel([], SECONDS).estimate([Step("EAST/a", 3)])
    assert (estimate.value, estimate.unknown) == (None, ("EAST/a",))


def test_an_asset_that_was_never_made_is_named_and_not_counted():
    random = np.random.default_rng(2)
    model = CostModel([a_run(random, n, n + 1, noise=0.1, shared=0.1) for n in range(8)], SECONDS)
    known = model.estimate([Step("EAST/a", 3)])
    estimate = model.estimate([Step("EAST/a", 3), Step("EAST/new", 3)])
    assert estimate.unknown == ("EAST/new",)
    assert estimate.value == known.value


def test_runs_of_other_assets_narrow_no_interval():
    random = np.random.default_rng(3)
    steady = [
        PastRun(f"s{n}", (Step("EAST/z", n, {SECONDS: n + 1.0}), Step(RUN, 0, {SECONDS: 1.0}))) for n in range(30)
    ]
    history = [a_run(random, n, n + 1, noise=0.3, shared=0.3) for n in range(3)]
    assert CostModel([*history, *steady], SECONDS).estimate([Step("EAST/a", 3), Step(RUN, 0)]).lower is None


@pytest.mark.parametrize("known", [4, 25])
def test_intervals_of_table_bytes_hold_the_truth(known):
    random, inside = np.random.default_rng(known), 0
    for _ in range(HOMES):
        days = random.lognormal(9, 0.3, known + 6)
        estimate = bytes_of_days({"EAST/a": days[:known].tolist()}, {"EAST/a": 6})
        inside += estimate.holds(days[known:].sum())
    print(f"table bytes, {known} days: {inside / HOMES:.1%}")
    assert NOMINAL - SPREAD <= inside / HOMES <= 0.95


def test_bytes_of_an_unknown_table_are_not_invented():
    assert bytes_of_days({}, {"EAST/a": 6}).value is None
    assert bytes_of_days({"EAST/a": [5.0, 7.0]}, {"EAST/a": 2}).lower is None
    assert bytes_of_days({}, {}).value == 0.0
