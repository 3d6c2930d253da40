"""What every family of models must keep, whatever it is made of, over a small task of each kind it supports."""

import dataclasses
import importlib
import pkgutil

import numpy as np
import pytest

import sinet_pipelines.applications.turbofan
import sinet_pipelines.models
from sinet_pipelines.applications.turbofan.experiments import EXPERIMENTS
from sinet_pipelines.applications.turbofan.families import FAMILIES as OF_TURBOFAN
from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.families import FAMILIES
from sinet_pipelines.models.model import Examples, Family, Inputs, Model
from sinet_pipelines.models.task import Kind
from tests.sinet_pipelines.models.examples import events, examples

MADE = {Kind.REGRESSION: examples, Kind.CLASSIFICATION: events}
EXAMPLES = {kind: make() for kind, make in MADE.items()}
EVERY: dict[str, Family] = {**FAMILIES, "average": OF_TURBOFAN["average"], **EXPERIMENTS}
CASES = {f"{name} {kind}": (family, kind) for name, family in EVERY.items() for kind in family.kinds}
every_family = pytest.mark.parametrize(("family", "kind"), CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, Kind], Model]:
    return {(family.name, kind): family.fit(EXAMPLES[kind], seed=0) for family, kind in CASES.values()}


def test_every_family_is_listed():
    packages = (sinet_pipelines.models, sinet_pipelines.applications.turbofan)
    names = [f"{one.__name__}.{module.name}" for one in packages for module in pkgutil.iter_modules(one.__path__)]
    found = set()
    for module in map(importlib.import_module, names):
        members = [m for m in vars(module).values() if dataclasses.is_dataclass(m) and m.__module__ == module.__name__]
        found |= {m for m in members if hasattr(m, "fit") and hasattr(m, "load")}
    assert found == {type(family) for family in EVERY.values()}


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_has_families_that_learn_and_a_baseline(kind):
    names = {name for name, family in FAMILIES.items() if kind in family.kinds}
    assert {"gradient_boosting", "random_forest", "constant"} <= names


@every_family
def test_a_family_is_known_by_its_name(family, kind):
    assert isinstance(family, Family)
    assert EVERY[family.name] is family


@every_family
def test_predictions_are_within_the_range(family, kind, models):
    known = EXAMPLES[kind]
    extreme = known.inputs.features_BF * np.float32(100)
    predicted = models[family.name, kind].predict(dataclasses.replace(known.inputs, features_BF=extreme))
    low, high = known.task.range
    assert predicted.shape == (len(known),)
    assert predicted.dtype == np.float64
    assert ((predicted >= low) & (predicted <= high)).all()


@every_family
def test_equal_seeds_give_equal_bytes(family, kind, models):
    assert family.fit(MADE[kind](), seed=0).files() == models[family.name, kind].files()


@every_family
def test_files_give_the_same_model_back(family, kind, models):
    known, model = EXAMPLES[kind], models[family.name, kind]
    again = family.load(model.files(), task=known.task)
    assert again.feature_names == model.feature_names == known.inputs.feature_names
    assert again.task is known.task
    assert again.files() == model.files()
    np.testing.assert_array_equal(again.predict(known.inputs), model.predict(known.inputs))


@every_family
def test_no_file_is_a_pickle(family, kind, models):
    for content in models[family.name, kind].files().values():
        assert isinstance(content, bytes)
        assert content[:1] != b"\x80"  # the first byte of any pickle since protocol 2


@every_family
def test_a_row_is_answered_alike_alone_and_among_others(family, kind, models):
    known, model = EXAMPLES[kind], models[family.name, kind]
    together = model.predict(known.inputs)
    rows = np.array([0, 17, 203])
    alone = [model.predict(known.inputs.take(rows[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_allclose(alone, together[rows], rtol=0, atol=1e-4)


@every_family
def test_other_features_are_refused(family, kind, models):
    inputs = EXAMPLES[kind].inputs
    swapped = dataclasses.replace(inputs, feature_names=inputs.feature_names[::-1])
    fewer = Inputs(inputs.features_BF[:, :2], inputs.feature_names[:2], inputs.sequences)
    for odd in (swapped, fewer):
        with pytest.raises(ContractError, match="features"):
            models[family.name, kind].predict(odd)


@every_family
def test_nothing_to_learn_from_is_refused(family, kind):
    known = EXAMPLES[kind]
    with pytest.raises(ContractError, match="no examples"):
        family.fit(known.take(np.zeros(len(known), dtype=bool)), seed=0)


@every_family
@pytest.mark.parametrize("where", ["feature", "label"])
def test_an_example_that_is_no_number_is_refused(family, kind, where):
    known = EXAMPLES[kind]
    features_BF, truth_B = known.inputs.features_BF.copy(), known.truth_B.copy()
    if where == "feature":
        features_BF[3, 0] = np.nan
    else:
        truth_B[3] = np.nan
    inputs = dataclasses.replace(known.inputs, features_BF=features_BF)
    with pytest.raises(ContractError, match="not finite"):
        family.fit(Examples(inputs, known.group_B, known.order_B, truth_B, known.task), seed=0)


@every_family
def test_a_task_of_another_kind_is_refused(family, kind):
    for other in set(Kind) - set(family.kinds):
        with pytest.raises(ContractError, match=f"family {family.name} cannot be fitted to a {other}"):
            family.fit(EXAMPLES[other], seed=0)
    if kind is Kind.CLASSIFICATION:
        odd = dataclasses.replace(EXAMPLES[kind], truth_B=np.full(len(EXAMPLES[kind]), 0.5))
        with pytest.raises(ContractError, match="neither 0 nor 1"):
            family.fit(odd, seed=0)


@every_family
def test_one_group_and_equal_labels_still_make_a_model(family, kind):
    known = EXAMPLES[kind]
    one = known.take(known.group_B == known.group_B[0])
    label, off = (7.0, 1e-6) if kind is Kind.REGRESSION else (1.0, 0.1)  # a logit of 1 is infinite
    equal = dataclasses.replace(one, truth_B=np.full(len(one), label))
    predicted = family.fit(equal, seed=0).predict(equal.inputs)
    np.testing.assert_allclose(predicted, label, atol=off)


@every_family
def test_asking_nothing_is_answered_by_nothing(family, kind, models):
    inputs = EXAMPLES[kind].inputs.take(np.array([], dtype=int))
    assert models[family.name, kind].predict(inputs).shape == (0,)
