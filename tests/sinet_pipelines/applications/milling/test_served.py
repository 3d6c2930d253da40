"""The served graph answers as the model it was made from, on every row, and answers nothing where there is nothing."""

from dataclasses import replace

import numpy as np
import onnx
import polars as pl
import pytest

from sinet_pipelines.applications.milling.families import BOOSTED_TREES, CANDIDATES, FOREST, Logistic
from sinet_pipelines.applications.milling.features import inputs_of, process_features
from sinet_pipelines.applications.milling.reader import read_records
from sinet_pipelines.applications.milling.served import INPUTS, QUALITY, ProcessPreparation, graph_rows_of
from sinet_pipelines.deployment.request_contract import read_request_contract
from sinet_pipelines.errors import UsageError
from sinet_pipelines.models.blend import Blend
from sinet_pipelines.quantization.export import export
from sinet_pipelines.quantization.session import answer, open_session
from sinet_pipelines.training.calibration import fit_decision

TREES, TREE_FOREST = replace(BOOSTED_TREES, trees=30), replace(FOREST, trees=5)
FAMILIES = (TREES, TREE_FOREST, Blend("average", (TREES, TREE_FOREST)), Logistic())


@pytest.fixture(scope="module")
def fitted(known):
    """By the family's name: model and decision."""
    models = {family.name: family.fit(known, seed=0) for family in FAMILIES}
    return {
        name: (model, fit_decision(model.predict(known.inputs), known.truth_B == 1)) for name, model in models.items()
    }


@pytest.fixture(scope="module")
def graphs(fitted):
    return {
        name: export(model, preparation=ProcessPreparation(), family=name, decision=decision)
        for name, (model, decision) in fitted.items()
    }


def answers(graph, requested):
    session = open_session(graph, inputs=ProcessPreparation().inputs, output="failure_probability")
    found = answer(session, requested)
    return found["failure_probability"], found["is_warned"] == 1.0


def assert_agrees(graph, model, decision, records):
    score_B = model.predict(inputs_of(process_features(records)))
    probability_B, is_warned_B = answers(graph, graph_rows_of(records))
    assert np.abs(probability_B - decision.probability(score_B)).max() < 1e-6
    np.testing.assert_array_equal(is_warned_B, decision.is_warned(score_B))
    assert is_warned_B.any()


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_the_graph_agrees_with_its_model_on_every_row(fitted, graphs, records, name):
    assert_agrees(graphs[name], *fitted[name], records)


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_the_graph_agrees_on_every_row_of_the_published_table(fitted, graphs, published_folder, name):
    """Among them the twelve heat dissipation failures at 8.6 K, which rounding would lose."""
    assert_agrees(graphs[name], *fitted[name], read_records(published_folder).rows)


def test_candidates_are_those_whose_graphs_are_tested():
    assert {family.name for family in CANDIDATES} < {family.name for family in FAMILIES}


@pytest.mark.parametrize(
    ("name", "value"), [("torque_nm", np.nan), ("torque_nm", np.inf), (QUALITY, 3.0), (QUALITY, np.nan)]
)
def test_a_product_that_cannot_be_judged_has_no_probability_and_no_warning(graphs, records, name, value):
    requested = graph_rows_of(records.head(3))
    requested.tensors[name][1] = value
    probability_B, is_warned_B = answers(graphs["average"], requested)
    assert np.isnan(probability_B).tolist() == [False, True, False]
    assert not is_warned_B[1]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("torque_nm", 151.0, "torque_nm 151 .*allowed: 0 to 150 Nm"),
        ("air_temperature_k", 25.0, "air_temperature_k 25 .*allowed: 270 to 330 K"),
        ("tool_wear_min", np.nan, "tool_wear_min nan"),
        (QUALITY, 0.5, "quality_level 0.5 .*allowed: whole numbers from 0 to 2"),
    ],
)
def test_a_request_outside_the_contract_is_refused(graphs, records, name, value, sentence):
    graph = onnx.load_from_string(graphs["logistic"])
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    contract = read_request_contract(metadata, dict.fromkeys(INPUTS, np.dtype(np.float32)))
    tensors = dict(graph_rows_of(records.head(2)).tensors)
    contract.check(tensors)
    tensors[name][1] = value
    with pytest.raises(UsageError, match=sentence):
        contract.check(tensors)
    assert metadata["quantization"].startswith("none: trees")


def test_a_value_is_one_number_in_tables_and_in_requests(records):
    """Features of float64 values and of the float32 values that a request carries are equal to the last bit."""
    measured = list(INPUTS[1:])
    single = records.with_columns(pl.col(measured).cast(pl.Float32).cast(pl.Float64))
    assert process_features(single).equals(process_features(records))
