import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.milling.evaluation import Judged, results_of
from sinet_pipelines.applications.milling.tables import EVALUATION_RESULTS
from sinet_pipelines.errors import ContractError

ROWS = pl.DataFrame(
    {
        "product_type": ["L", "L", "M", "H"],
        "region": ["EAST", "WEST", "WEST", "WEST"],
        "origin": ["held_out", "recent", "recent", "recent"],
        "machine_failure": [1, 0, 1, 0],
    }
)
PROBABILITY = np.array([0.9, 0.8, 0.2, 0.1])


@pytest.fixture(scope="module")
def results():
    return results_of(
        ROWS, {"one": Judged(PROBABILITY, PROBABILITY >= 0.5), "none": Judged(PROBABILITY, PROBABILITY > 1)}
    )


def of(results, name, value, predictor="one"):
    wanted = (pl.col("slice") == name) & (pl.col("value") == value) & (pl.col("predictor") == predictor)
    return results.filter(wanted).row(0, named=True)


def test_figures_of_all_by_hand(results):
    found = of(results, "all", "all")
    assert (found["products"], found["failures"]) == (4, 2)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["pr_auc"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found["brier"] == pytest.approx((0.01 + 0.64 + 0.64 + 0.01) / 4)


def test_each_predictor_is_judged_by_its_own_warnings(results):
    assert of(results, "all", "all", "none")["recall"] == 0.0
    assert of(results, "all", "all", "none")["pr_auc"] == of(results, "all", "all")["pr_auc"]


def test_every_slice_is_there_in_the_columns_of_the_contract(results):
    assert results.columns == EVALUATION_RESULTS.schema.names
    assert set(results.select("slice", "value").iter_rows()) == {
        *(("product_type", kind) for kind in "LMH"),
        *(("region", name) for name in ("EAST", "WEST")),
        *(("origin", name) for name in ("held_out", "recent")),
        ("all", "all"),
    }
    assert of(results, "region", "EAST")["recall"] == 1.0


def test_nothing_to_judge_is_refused():
    with pytest.raises(ContractError, match="no product to evaluate on"):
        results_of(ROWS.clear(), {})
