import dataclasses

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan import benchmark as rul_benchmark
from sinet_pipelines.applications.turbofan.benchmark import predictor, prepare, protocol, run_seed, summary
from sinet_pipelines.applications.turbofan.cmapss import CmapssSubset
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from sinet_pipelines.errors import SourceError
from sinet_pipelines.models.gradient_boosting import GradientBoosting

FIGURES = ("rmse_capped", "rmse_uncapped", "score_capped", "score_uncapped", "rmse_out_of_fold")


@pytest.fixture(scope="module")
def fleet() -> CmapssSubset:
    return simulate_fleet(seed=3, history_engines=14, live_engines=8, regimes=6)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(
        rul_benchmark, "CANDIDATES", {"quick": GradientBoosting(trees=30), "quicker": GradientBoosting(trees=3)}
    )


def test_regimes_are_found_not_assumed(fleet):
    assert len(prepare(fleet).regimes) == 6


def test_every_row_of_the_train_file_is_learnt_from(fleet):
    task = prepare(fleet)
    assert len(task.examples) == len(fleet.train)
    assert task.examples.truth_B.min() == 0.0
    assert (task.examples.truth_B == 0.0).sum() == 14


def test_the_last_row_of_every_test_engine_is_asked(fleet):
    task = prepare(fleet)
    last = fleet.test.group_by("unit").agg(pl.col("cycle").max()).sort("unit")["cycle"]
    ages = task.tested.features_BF[:, task.tested.feature_names.index("age_cycles")]
    np.testing.assert_array_equal(ages, last.to_numpy())
    np.testing.assert_array_equal(task.true_rul, fleet.rul.sort("unit")["rul_cycles"].to_numpy())


@pytest.mark.slow
def test_no_test_row_enters_a_fit_or_a_choice(fleet):
    """Another test file changes neither regimes nor what is learnt, nor which candidate is chosen, nor by how much."""
    other = dataclasses.replace(
        fleet,
        test=fleet.test.with_columns(pl.col("t30_degr") * 1.1),
        rul=fleet.rul.with_columns(pl.col("rul_cycles") + 50),
    )
    one, two = prepare(fleet), prepare(other)
    assert one.regimes == two.regimes
    np.testing.assert_array_equal(one.examples.inputs.features_BF, two.examples.inputs.features_BF)
    rows = [run_seed(task, seed=0) for task in (one, two)]
    assert [[(r["family"], r["chosen"], r["rmse_out_of_fold"]) for r in part] for part in rows][0] == [
        (r["family"], r["chosen"], r["rmse_out_of_fold"]) for r in rows[1]
    ]
    assert rows[0][0]["rmse_uncapped"] != rows[1][0]["rmse_uncapped"]


@pytest.mark.slow
def test_the_candidate_with_the_least_error_out_of_fold_answers(fleet):
    rows = run_seed(prepare(fleet), seed=0)
    assert [row["family"] for row in rows] == ["quick", "quicker", "average", "stack", "constant", "ridge"]
    errors = {row["family"]: row["rmse_out_of_fold"] for row in rows}
    assert errors["quick"] < errors["average"] < errors["quicker"]
    assert [row["family"] for row in rows if row["chosen"]] == ["quick"]


@pytest.mark.slow
def test_a_stack_weighs_its_members_and_an_average_does_not(fleet):
    rows = {row["family"]: row for row in run_seed(prepare(fleet), seed=0)}
    assert rows["average"]["weights"] == {"quick": 0.5, "quicker": 0.5}
    assert rows["stack"]["weights"]["quick"] > rows["stack"]["weights"]["quicker"]
    assert rows["quick"]["weights"] == {}


@pytest.mark.slow
def test_a_seed_gives_the_same_figures_again(fleet):
    one, two = (run_seed(prepare(fleet), seed=1) for _ in range(2))
    assert [[row[name] for name in FIGURES] for row in one] == [[row[name] for name in FIGURES] for row in two]


def test_a_summary_is_mean_and_sample_deviation():
    results = [{"subset": "FD001", **dict.fromkeys((*FIGURES, "seconds"), value)} for value in (10.0, 12.0)]
    figures = summary("FD001", results)
    assert (figures["rmse_capped_mean"], figures["seeds"]) == (11.0, 2)
    assert figures["rmse_capped_sd"] == pytest.approx(2**0.5)
    assert summary("FD001", results[:1])["score_capped_sd"] is None


def test_the_protocol_says_what_was_learnt_from(fleet):
    found = protocol([prepare(fleet)], seeds=2)
    assert found["seeds"] == [0, 1]
    assert found["subsets"][0] | {"subset": ""} == {
        "subset": "",
        "regimes": 6,
        "train_engines": 14,
        "train_rows": len(fleet.train),
        "test_engines": 8,
    }
    assert set(found["candidates"]) == {"quick", "quicker"}


def test_a_text_among_numbers_is_refused(fleet):
    odd = dataclasses.replace(fleet, train=fleet.train.with_columns(pl.col("t30_degr").cast(pl.String)))
    with pytest.raises(SourceError, match="values that are no number in t30_degr"):
        prepare(odd)


def test_what_candidates_say_together_answers_unless_it_is_clearly_further_off():
    rng = np.random.default_rng(0)
    squares = rng.uniform(50, 150, 100)
    noisy = squares + rng.normal(0.0, 30.0, 100)
    assert predictor({"one": squares, "average": noisy, "stack": squares}) == "average"
    assert predictor({"one": squares, "average": squares + 20.0, "stack": noisy}) == "stack"
    assert predictor({"one": squares, "average": squares + 20.0, "stack": squares + 10.0}) == "one"
