import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.baselines import Constant, LinearModel, Ridge
from sinet_pipelines.models.blend import Blend, stacked_weights
from sinet_pipelines.models.model import Inputs
from tests.sinet_pipelines.models.examples import examples

KNOWN = examples(sequences=False)


def line(intercept):
    return LinearModel(("a",), intercept, (0.0,), (0.0,), (1.0,), RUL)


def test_an_average_is_the_mean_of_clipped_predictions():
    blend = Blend("two", (Constant(), Ridge())).of([line(100.0), line(500.0)])
    requested = Inputs(np.zeros((1, 1), dtype=np.float32), ("a",))
    assert blend.predict(requested).tolist() == [(100.0 + 125.0) / 2]


def test_weights_count_and_the_sum_stays_in_range():
    blend = Blend("two", (Constant(), Ridge()), (0.5, 0.75)).of([line(100.0), line(60.0)])
    requested = Inputs(np.zeros((1, 1), dtype=np.float32), ("a",))
    assert blend.predict(requested).tolist() == [95.0]
    assert Blend("two", (Constant(), Ridge()), (2.0, 2.0)).of([line(100.0), line(60.0)]).predict(
        requested
    ).tolist() == [125]


def test_fitted_models_are_not_fitted_anew():
    members = [Constant().fit(KNOWN, seed=0), Ridge().fit(KNOWN, seed=0)]
    blend = Blend("two", (Constant(), Ridge()))
    assert blend.of(members).files() == blend.fit(KNOWN, seed=0).files()


def test_files_of_a_blend_of_other_families_are_rejected():
    files = Blend("two", (Constant(), Ridge())).fit(KNOWN, seed=0).files()
    with pytest.raises(ContractError, match="a blend of constant, ridge"):
        Blend("one", (Constant(),)).load(files, task=RUL)


def test_a_stack_has_no_more_error_than_its_best_member():
    rng = np.random.default_rng(0)
    truth, weight = rng.uniform(0, 125, 500), rng.uniform(0.5, 2.0, 500)
    members = [truth + rng.normal(0, sd, 500) for sd in (5.0, 9.0, 30.0)]
    weights = stacked_weights(members, truth, weight)

    def error(answer):
        return np.average((answer - truth) ** 2, weights=weight)

    assert min(weights) >= 0.0
    assert error(np.tensordot(weights, members, 1)) <= min(error(member) for member in members)
