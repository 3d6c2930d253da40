import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.models.interval import Interval
from sinet_pipelines.quantization.graph import GraphWriter
from sinet_pipelines.quantization.interval_graph import write_interval

ASKED = np.linspace(0.0, 125.0, 501, dtype=np.float32)


def ends(interval: Interval, cycles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    graph = GraphWriter()
    names = write_interval(graph, graph.cast("cycles", np.float64), interval)
    outputs = {end: (graph.cast(name, np.float32), (1,)) for end, name in zip(("lower", "upper"), names, strict=True)}
    content = graph.finish(inputs={"cycles": (1,)}, outputs=outputs, metadata={})
    lower, upper = ort.InferenceSession(content).run(["lower", "upper"], {"cycles": cycles[:, None]})
    return lower[:, 0], upper[:, 0]


@settings(max_examples=25, deadline=None)
@given(
    knots=st.lists(st.floats(-10, 130), min_size=1, max_size=8, unique_by=lambda knot: round(knot, 2)).map(sorted),
    seed=st.integers(0, 1000),
)
def test_the_graph_has_the_ends_of_the_interval(knots, seed):
    widths = np.random.default_rng(seed).uniform(0, 60, len(knots))
    interval = Interval(0.9, tuple(knots), tuple(widths.tolist()), (0.0, 125.0))
    for found, expected in zip(ends(interval, ASKED), interval.around(ASKED.astype(np.float64)), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_ends_worked_by_hand():
    lower, upper = ends(
        Interval(0.9, (0.0, 100.0), (2.0, 12.0), (0.0, 125.0)), np.array([0.0, 50.0, 120.0], dtype=np.float32)
    )
    assert lower.tolist() == [0.0, 43.0, 108.0]
    assert upper.tolist() == [2.0, 57.0, 125.0]


@pytest.mark.parametrize("knots", [(50.0,), (20.0, 80.0)])
def test_no_answer_has_no_ends(knots):
    interval = Interval(0.9, knots, (5.0,) * len(knots), (0.0, 125.0))
    for found in ends(interval, np.array([np.nan], dtype=np.float32)):
        assert np.isnan(found).all()
