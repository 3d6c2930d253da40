import math

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.schemas.features import EVALUATION_RESULTS
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.judge import judge

ASKED = pl.DataFrame(
    {
        "unit": ["a", "a", "b", "c"],
        "region": ["WEST", "WEST", "EAST", "EAST"],
        "origin": ["history", "history", "history", "live"],
        "rul_cycles": [10, 20, 130, 40],
    },
    schema_overrides={"rul_cycles": pl.Int32},
)
PREDICTIONS = {
    "model": np.array([13.0, 16.0, 125.0, 40.0]),
    "constant": np.full(4, 50.0),
    "ridge": np.array([10.0, 20.0, 125.0, 40.0]),
}


def test_every_predictor_is_evaluated_on_every_slice():
    results = judge(ASKED, PREDICTIONS, task=RUL, results=EVALUATION_RESULTS)
    slices = results.select("slice", "value").unique(maintain_order=True).rows()
    assert slices == [("all", "all"), ("region", "EAST"), ("region", "WEST"), ("origin", "history"), ("origin", "live")]
    assert len(results) == 3 * len(slices)
    assert results.to_arrow().cast(EVALUATION_RESULTS.schema).schema == EVALUATION_RESULTS.schema


def test_figures_of_a_slice_are_those_of_its_rows():
    rows = judge(ASKED, PREDICTIONS, task=RUL, results=EVALUATION_RESULTS).rows_by_key(
        ["value", "predictor"], named=True, unique=True
    )
    west = rows["WEST", "model"]
    assert (west["n"], west["engines"]) == (2, 1)
    assert west["rmse_capped"] == pytest.approx(math.sqrt((9 + 16) / 2))
    assert rows["EAST", "ridge"]["rmse_capped"] == 0.0
    assert rows["EAST", "ridge"]["rmse_uncapped"] == pytest.approx(math.sqrt(25 / 2))
    assert rows["all", "constant"]["n"] == 4


def test_an_empty_evaluation_set_is_rejected():
    with pytest.raises(ContractError, match="no row to evaluate on"):
        judge(ASKED.head(0), {"model": np.array([])}, task=RUL, results=EVALUATION_RESULTS)
