"""Graphs of classifications: probability and warning inside, as the model and its decision have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import pytest

from sinet_pipelines.models.families import FAMILIES
from sinet_pipelines.models.probability import Decision, PlattScaling
from sinet_pipelines.models.random_forest import RandomForest
from sinet_pipelines.models.task import Kind
from sinet_pipelines.quantization.agreement import check_agreement
from sinet_pipelines.quantization.export import export
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.graph_rows import GraphRows
from sinet_pipelines.quantization.session import answer, open_session
from sinet_pipelines.quantization.signals import Signals
from sinet_pipelines.training.calibration import fit_decision
from tests.sinet_pipelines.models.examples import NAMES, WORN, events, examples

KNOWN, UNSEEN = events(), events(seed=1)
FITTING = {name: family for name, family in FAMILIES.items() if Kind.CLASSIFICATION in family.kinds}


@dataclass(frozen=True)
class Plain:
    """Features as they come; no row is unanswerable."""

    @property
    def inputs(self) -> Mapping[str, Sequence[int]]:
        return {"features": (len(NAMES),)}

    @property
    def metadata(self) -> Mapping[str, str]:
        return {"contract": "plain"}

    def write(self, graph: GraphWriter) -> Signals:
        return Signals(graph.cast("features", np.float64), NAMES)


def rows_of(known) -> GraphRows:
    rows = len(known)
    names = tuple(f"row {row}" for row in range(rows))
    return GraphRows({"features": known.inputs.features_BF}, np.ones(rows, dtype=bool), names)


@pytest.mark.parametrize("name", sorted(FITTING))
def test_probability_and_warning_are_those_of_model_and_decision_on_every_row(name):
    model = FITTING[name].fit(KNOWN, seed=0)
    decision = fit_decision(model.predict(KNOWN.inputs), KNOWN.truth_B == 1.0)
    graph = export(model, preparation=Plain(), family=name, decision=decision)
    for known in (KNOWN, UNSEEN):
        score_B = model.predict(known.inputs)
        warned = decision.is_warned(score_B).astype(np.float64)
        check_agreement(graph, rows_of(known), decision.probability(score_B), output="worn_probability").require()
        check_agreement(graph, rows_of(known), warned, output="is_warned").require()
    found = answer(open_session(graph, inputs=Plain().inputs, output="is_warned"), rows_of(UNSEEN))
    assert list(found) == list(WORN.outputs)
    assert ((found["worn_probability"] >= 0.0) & (found["worn_probability"] <= 1.0)).all()
    assert set(found["is_warned"].tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("name", sorted(FITTING))
def test_without_a_decision_the_score_alone_is_answered(name):
    model = FITTING[name].fit(KNOWN, seed=0)
    graph = export(model, preparation=Plain(), family=name)
    check_agreement(graph, rows_of(UNSEEN), model.predict(UNSEEN.inputs), output="worn_probability").require()
    assert [output.name for output in onnx.load_from_string(graph).graph.output] == ["worn_probability"]


def test_the_threshold_is_part_of_the_graph_and_of_its_metadata():
    model = FITTING["logistic"].fit(KNOWN, seed=0)
    never = Decision(PlattScaling(1.0, 0.0), threshold=1.1)
    graph = export(model, preparation=Plain(), family="logistic", decision=never)
    metadata = {prop.key: prop.value for prop in onnx.load_from_string(graph).metadata_props}
    assert (metadata["threshold"], metadata["contract"]) == ("1.1", "plain")
    found = answer(open_session(graph, inputs=Plain().inputs, output="is_warned"), rows_of(UNSEEN))
    assert not found["is_warned"].any()


def test_a_forest_of_numbers_is_served_as_it_predicts():
    known = examples(sequences=False)
    model = RandomForest(trees=7, rows_in_leaf=3).fit(known, seed=0)
    graph = export(model, preparation=Plain(), family="random_forest")
    assert check_agreement(graph, rows_of(known), model.predict(known.inputs), output="rul_cycles").passed


def test_a_tree_of_one_leaf_is_served_too():
    one = KNOWN.take(np.arange(30))
    model = RandomForest(trees=5, rows_in_leaf=30).fit(one, seed=0)
    assert (model.features == -1).all()
    graph = export(model, preparation=Plain(), family="random_forest")
    check_agreement(graph, rows_of(one), model.predict(one.inputs), output="worn_probability").require()


def test_a_graph_that_warns_by_another_threshold_does_not_agree():
    model = FITTING["gradient_boosting"].fit(KNOWN, seed=0)
    score_B = model.predict(UNSEEN.inputs)
    decision = fit_decision(model.predict(KNOWN.inputs), KNOWN.truth_B == 1.0)
    other = replace(decision, threshold=0.99 * decision.threshold + 0.01 * decision.probability(score_B).max())
    graph = export(model, preparation=Plain(), family="gradient_boosting", decision=replace(decision, threshold=0.0))
    found = check_agreement(graph, rows_of(UNSEEN), other.is_warned(score_B).astype(float), output="is_warned")
    assert not found.passed
    assert found.max_abs_difference == 1.0
