"""What every family of models must keep, whatever it is made of."""

import dataclasses
import importlib
import pkgutil

import numpy as np
import pytest

import sinet_pipelines.models
import sinet_pipelines.research
from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.families import FAMILIES
from sinet_pipelines.models.model import Examples, Family, Inputs, Model
from sinet_pipelines.research.experiments import EXPERIMENTS
from tests.sinet_pipelines.models.examples import examples

EXAMPLES = examples()
EVERY = {**FAMILIES, **EXPERIMENTS}
every_family = pytest.mark.parametrize("family", EVERY.values(), ids=EVERY)


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {name: family.fit(EXAMPLES, seed=0) for name, family in EVERY.items()}


def test_every_family_of_the_hall_is_listed():
    halls = (sinet_pipelines.models, sinet_pipelines.research)
    names = [f"{hall.__name__}.{module.name}" for hall in halls for module in pkgutil.iter_modules(hall.__path__)]
    found = set()
    for module in map(importlib.import_module, names):
        members = [m for m in vars(module).values() if dataclasses.is_dataclass(m) and m.__module__ == module.__name__]
        found |= {m for m in members if hasattr(m, "fit") and hasattr(m, "load")}
    assert found == {type(family) for family in EVERY.values()}


@every_family
def test_a_family_is_known_by_its_name(family):
    assert isinstance(family, Family)
    assert EVERY[family.name] is family


@every_family
def test_predictions_are_cycles_within_the_cap(family, models):
    extreme = EXAMPLES.inputs.features_BF * np.float32(100)
    predicted = models[family.name].predict(dataclasses.replace(EXAMPLES.inputs, features_BF=extreme))
    assert predicted.shape == (len(EXAMPLES),)
    assert predicted.dtype == np.float64
    assert ((predicted >= 0.0) & (predicted <= 125.0)).all()


@every_family
def test_equal_seeds_give_equal_bytes(family, models):
    assert family.fit(examples(), seed=0).files() == models[family.name].files()


@every_family
def test_files_give_the_same_model_back(family, models):
    model = models[family.name]
    again = family.load(model.files())
    assert again.feature_names == model.feature_names == EXAMPLES.inputs.feature_names
    assert again.files() == model.files()
    np.testing.assert_array_equal(again.predict(EXAMPLES.inputs), model.predict(EXAMPLES.inputs))


@every_family
def test_no_file_is_a_pickle(family, models):
    for content in models[family.name].files().values():
        assert isinstance(content, bytes)
        assert content[:1] != b"\x80"  # the first byte of any pickle since protocol 2


@every_family
def test_a_row_is_answered_alike_alone_and_among_others(family, models):
    model = models[family.name]
    together = model.predict(EXAMPLES.inputs)
    rows = np.array([0, 17, 203])
    alone = [model.predict(EXAMPLES.inputs.take(rows[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_allclose(alone, together[rows], rtol=0, atol=1e-4)


@every_family
def test_other_features_are_refused(family, models):
    inputs = EXAMPLES.inputs
    swapped = dataclasses.replace(inputs, feature_names=inputs.feature_names[::-1])
    fewer = Inputs(inputs.features_BF[:, :2], inputs.feature_names[:2], inputs.sequences)
    for odd in (swapped, fewer):
        with pytest.raises(ContractError, match="features"):
            models[family.name].predict(odd)


@every_family
def test_nothing_to_learn_from_is_refused(family):
    with pytest.raises(ContractError, match="no examples"):
        family.fit(EXAMPLES.take(np.zeros(len(EXAMPLES), dtype=bool)), seed=0)


@every_family
@pytest.mark.parametrize("where", ["feature", "label"])
def test_an_example_that_is_no_number_is_refused(family, where):
    features_BF, rul_B = EXAMPLES.inputs.features_BF.copy(), EXAMPLES.rul_B.copy()
    if where == "feature":
        features_BF[3, 0] = np.nan
    else:
        rul_B[3] = np.nan
    inputs = dataclasses.replace(EXAMPLES.inputs, features_BF=features_BF)
    with pytest.raises(ContractError, match="not finite"):
        family.fit(Examples(inputs, EXAMPLES.unit_B, EXAMPLES.cycle_B, rul_B), seed=0)


@every_family
def test_one_engine_and_equal_labels_still_make_a_model(family):
    one = EXAMPLES.take(EXAMPLES.unit_B == "FD001-0001")
    equal = dataclasses.replace(one, rul_B=np.full(len(one), 7.0))
    predicted = family.fit(equal, seed=0).predict(equal.inputs)
    np.testing.assert_allclose(predicted, 7.0, atol=1e-6)


@every_family
def test_asking_nothing_is_answered_by_nothing(family, models):
    assert models[family.name].predict(EXAMPLES.inputs.take(np.array([], dtype=int))).shape == (0,)
