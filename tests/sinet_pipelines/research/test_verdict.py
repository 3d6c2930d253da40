"""A verdict keeps four conditions apart, each of which real work can keep, and says every reason."""

import dataclasses

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.experiments import SPIKING
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.research.recipe import Recipe
from sinet_pipelines.research.verdict import judge_experiment
from tests.inventory import EAST, NULL_ISLAND, WEST

SOUND = Recipe("sound", "Does it?", NULL_ISLAND.name, "cpu", None, "spiking")
CANDIDATES = {"trees": 12.0, "network": 10.0, "broken": np.nan}
ANSWERS = np.array([3.0, 120.0, 60.0])


def judged(recipe=SOUND, *, endpoint=WEST, rmse_cycles=10.5, predicted_B=ANSWERS):
    return judge_experiment(
        recipe, endpoint=endpoint, metric=RUL.metric, score=rmse_cycles, candidates=CANDIDATES, predicted_B=predicted_B
    )


def test_a_challenger_that_meets_every_condition_may_be_promoted():
    verdict = judged()
    assert verdict.may_be_promoted
    assert verdict.reasons == ()
    assert verdict.sentence == "may be promoted: every condition is met"
    assert verdict.numbers["conditions_met"] == verdict.numbers["conditions"] == 4.0


def test_hardware_that_the_endpoint_has_not_bars_it():
    fpga = dataclasses.replace(SOUND, hardware="fpga")
    assert judged(fpga).reasons == ("WEST, where the endpoint is, has no fpga",)
    assert judged(fpga, endpoint=NULL_ISLAND).may_be_promoted


def test_simulated_figures_bar_it():
    simulated = dataclasses.replace(SOUND, hardware="fpga", simulated_on="cpu")
    assert judged(simulated, endpoint=NULL_ISLAND).reasons == (
        "its figures were simulated on cpu, not measured on fpga",
    )


def test_an_error_more_than_a_tenth_above_the_best_candidate_bars_it():
    assert judged(rmse_cycles=11.0).may_be_promoted
    worse = judged(rmse_cycles=11.01)
    assert worse.reasons == ("its RMSE out of fold is 11.01 cycles (allowed: 11.00, 10% above network)",)
    assert worse.numbers["score_best_candidate"] == 10.0
    assert worse.numbers["score_limit"] == pytest.approx(11.0)


def test_an_error_that_is_nan_bars_it():
    assert not judged(rmse_cycles=np.nan).may_be_promoted


def test_a_prediction_that_is_nan_bars_it():
    verdict = judged(predicted_B=np.array([3.0, np.nan, np.inf]))
    assert verdict.reasons == ("2 of 3 predictions are not finite",)
    assert verdict.numbers["not_numbers"] == 2.0


def test_every_reason_is_in_one_sentence():
    verdict = judged(SPIKING, rmse_cycles=20.0, predicted_B=np.array([np.nan]))
    assert not verdict.may_be_promoted
    assert len(verdict.reasons) == 4
    assert verdict.numbers["conditions_met"] == 0.0
    assert verdict.sentence == (
        "may not be promoted: WEST, where the endpoint is, has no neuromorphic; its figures were simulated on cpu, not "
        "measured on neuromorphic; its RMSE out of fold is 20.00 cycles (allowed: 11.00, 10% above network); 1 of 1 "
        "predictions are not finite"
    )


def test_a_challenger_without_predictions_is_rejected():
    with pytest.raises(ContractError, match="has no predictions"):
        judged(predicted_B=np.array([]))


def test_no_region_serves_from_a_simulator():
    for endpoint in (EAST, WEST, NULL_ISLAND):
        assert not judged(SPIKING, endpoint=endpoint).may_be_promoted
