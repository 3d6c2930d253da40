import dataclasses

import numpy as np
import onnx
import pytest

from sinet_pipelines.errors import ContractError, DisagreementError
from sinet_pipelines.quantization.agreement import TOLERANCE
from tests.sinet_pipelines.quantization.windows import check_agreement, feed, open_session


def _with_one_leaf_changed(served: bytes, *, by: float) -> bytes:
    """The same graph but for its first leaf; training put rows into every leaf, so some answer changes."""
    model = onnx.load_from_string(served)
    trees = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    leaves = next(attribute for attribute in trees.attribute if attribute.name == "leaf_weights")
    weights = onnx.numpy_helper.to_array(leaves.t).copy()
    weights[0] += by
    leaves.t.CopyFrom(onnx.numpy_helper.from_array(weights, leaves.t.name))
    return model.SerializeToString()


def test_a_graph_agrees_with_its_source_on_every_row(served, sequences, forest, inputs):
    agreement = check_agreement(served, sequences, forest.predict(inputs))
    assert agreement.passed
    assert agreement.n == len(sequences)
    assert agreement.max_abs_difference <= 2.0**-18  # the rounding of a float32 below 128
    agreement.require()


def test_one_changed_weight_is_found(served, sequences, forest, inputs):
    broken = _with_one_leaf_changed(served, by=0.01)
    agreement = check_agreement(broken, sequences, forest.predict(inputs))
    assert not agreement.passed
    assert agreement.max_abs_difference == pytest.approx(0.01, rel=1e-2)
    with pytest.raises(DisagreementError, match="differ by more than 0.0001 or"):
        agreement.require()


def test_the_worst_row_is_named(served, sequences, forest, inputs):
    source = forest.predict(inputs)
    source[17] += 0.5
    agreement = check_agreement(served, sequences, source)
    assert agreement.worst == f"engine {sequences.unit[17]} at cycle {sequences.cycle_B[17]}"
    assert agreement.max_abs_difference == pytest.approx(0.5, abs=1e-5)
    assert agreement.reason.startswith(f"1 of {len(sequences)} rows")


@pytest.mark.parametrize("beyond", [False, True])
def test_the_tolerance_is_the_limit(served, sequences, forest, inputs, beyond):
    source = forest.predict(inputs)
    source[3] += TOLERANCE * (1.1 if beyond else 0.9)
    assert check_agreement(served, sequences, source).passed is not beyond


def test_a_graph_that_answers_nan_does_not_agree(served, sequences, forest, inputs):
    broken = _with_one_leaf_changed(served, by=np.nan)
    agreement = check_agreement(broken, sequences, forest.predict(inputs))
    assert not agreement.passed
    assert np.isnan(agreement.max_abs_difference)
    assert agreement.worst.split()[1] in sequences.unit


def test_a_row_that_cannot_be_answered_agrees_when_the_graph_answers_nan(served, sequences, forest, inputs):
    window = sequences.window_BTC.copy()
    window[5, -1] = np.nan
    requested = dataclasses.replace(sequences, window_BTC=window)
    assert check_agreement(served, requested, forest.predict(inputs)).passed
    names = [output.name for output in onnx.load_from_string(served).graph.output]
    assert np.isnan(open_session(served).run(names, feed(requested.take(np.array([5]))))[0]).all()


@pytest.mark.parametrize("answer", [np.nan, np.inf])
def test_a_source_that_answers_no_number_does_not_agree(served, sequences, forest, inputs, answer):
    source = forest.predict(inputs)
    source[2] = answer
    assert not check_agreement(served, sequences, source).passed


def test_nothing_compared_is_no_agreement(served, sequences):
    none = sequences.take(np.zeros(len(sequences), dtype=bool))
    agreement = check_agreement(served, none, np.empty(0))
    assert not agreement.passed
    assert agreement.n == 0


def test_every_sequence_needs_its_source_prediction(served, sequences):
    with pytest.raises(ContractError, match="1 source predictions"):
        check_agreement(served, sequences, np.zeros(1))


def test_an_end_of_an_interval_that_lies_elsewhere_is_found(served_network, network, inputs, sequences, interval):
    _, upper = interval.around(network.predict(inputs))
    assert check_agreement(served_network, sequences, upper, output="upper_cycles").passed
    wrong = check_agreement(served_network, sequences, upper - 0.01, output="upper_cycles")
    assert wrong.max_abs_difference == pytest.approx(0.01, rel=1e-2)
    assert not wrong.passed


def test_an_answer_that_a_graph_does_not_give_is_named(served, sequences):
    with pytest.raises(DisagreementError, match="signature is .* -> .'rul_cycles'. .allowed: .* -> lower_cycles"):
        check_agreement(served, sequences, np.zeros(len(sequences)), output="lower_cycles")
