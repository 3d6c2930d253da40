import dataclasses

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.graph.window_graph import INPUTS
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.session import BATCH_ROWS, TURN_CALLS
from tests.sinet_pipelines.quantization.windows import answer, feed, median_latencies_us, open_session


def cycle_plus_one(*, inputs=INPUTS, output: str = "rul_cycles") -> bytes:
    """A model whose answer anybody can check."""
    graph = GraphWriter()
    after = graph.node("Add", "cycle", graph.constant(1.0, np.float32))
    return graph.finish(inputs=inputs, outputs={output: (after, (1,))}, metadata={})


def test_every_sequence_is_answered_in_its_order(sequences):
    many = dataclasses.replace(
        sequences,
        unit=("FD001-0001",) * (BATCH_ROWS + 3),
        cycle_B=np.arange(1, BATCH_ROWS + 4, dtype=np.int32),
        window_BTC=np.zeros((BATCH_ROWS + 3, *INPUTS["window"]), np.float32),
        first_cycles_BTC=np.zeros((BATCH_ROWS + 3, *INPUTS["first_cycles"]), np.float32),
    )
    answers = answer(open_session(cycle_plus_one()), many)
    assert list(answers) == ["rul_cycles"]
    np.testing.assert_array_equal(answers["rul_cycles"], np.arange(2, BATCH_ROWS + 5))


def test_no_sequence_is_no_answer(sequences):
    none = sequences.take(np.array([], dtype=int))
    assert answer(open_session(cycle_plus_one()), none)["rul_cycles"].shape == (0,)


def test_what_is_fed_has_the_signature_of_every_family(sequences):
    tensors = feed(sequences)
    assert {name: values.shape[1:] for name, values in tensors.items()} == INPUTS
    assert {values.dtype for values in tensors.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b"no model", lambda b: b[: len(b) // 2]])
def test_bytes_that_are_no_model_are_refused(spoil):
    with pytest.raises(DisagreementError, match="cannot open|signature"):
        open_session(spoil(cycle_plus_one()))


def test_another_input_or_output_is_refused():
    with pytest.raises(DisagreementError, match="signature"):
        open_session(cycle_plus_one(inputs={**INPUTS, "window": (31, len(CHANNELS))}))
    with pytest.raises(DisagreementError, match="signature"):
        open_session(cycle_plus_one(output="rul"))


def test_latency_is_of_one_call(sequences):
    assert 0.5 < median_latencies_us({"": open_session(cycle_plus_one())}, sequences, calls=200)[""] < 10_000


def test_sessions_take_turns_and_are_asked_equally_often(sequences):
    requested = []

    class Recorded:
        def __init__(self, name):
            self.name, self.session = name, open_session(cycle_plus_one())

        def run(self, outputs, tensors):
            requested.append((self.name, float(tensors["cycle"][0, 0])))
            return self.session.run(outputs, tensors)

    found = median_latencies_us({"a": Recorded("a"), "b": Recorded("b")}, sequences, calls=TURN_CALLS + 5)
    assert list(found) == ["a", "b"]
    names = [name for name, _ in requested]
    assert names == ["a"] * TURN_CALLS + ["b"] * TURN_CALLS + ["a"] * 5 + ["b"] * 5
    questions = {name: [row for asker, row in requested if asker == name] for name in found}
    assert questions["a"] == questions["b"]
