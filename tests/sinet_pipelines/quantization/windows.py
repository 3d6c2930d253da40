"""Graphs of turbofan windows for tests: the platform's functions, with the application's part filled in."""

from typing import Any

import numpy as np

from sinet_pipelines.applications.turbofan.features.sequences import Sequences
from sinet_pipelines.applications.turbofan.graph.served import WindowPreparation, graph_rows_of
from sinet_pipelines.applications.turbofan.graph.window_graph import INPUTS
from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.quantization import agreement, footprint, limits, session, trial
from sinet_pipelines.quantization import export as exports


def export(model, *, regimes, family: str, interval=None) -> bytes:
    """The model's graph behind a window."""
    return exports.export(model, preparation=WindowPreparation(regimes), family=family, interval=interval)


def feed(sequences: Sequences) -> dict[str, np.ndarray]:
    """The inputs of a window's graph."""
    return dict(graph_rows_of(sequences).tensors)


def open_session(content: bytes) -> Any:
    """A session of a window's graph."""
    return session.open_session(content, inputs=INPUTS, output="rul_cycles")


def answer(opened: Any, sequences: Sequences) -> dict[str, np.ndarray]:
    """Every output of the graph."""
    return session.answer(opened, graph_rows_of(sequences))


def median_latencies_us(sessions, sequences: Sequences, **settings) -> dict[str, float]:
    """Times of one call."""
    return session.median_latencies_us(sessions, graph_rows_of(sequences), **settings)


def check_agreement(content: bytes, sequences: Sequences, source, *, output: str = "rul_cycles"):
    """Whether the graph agrees with its source."""
    return agreement.check_agreement(content, graph_rows_of(sequences), source, output=output)


def footprints(graphs, sequences: Sequences, **settings):
    """What each graph costs."""
    return footprint.footprints(graphs, graph_rows_of(sequences), output="rul_cycles", **settings)


def put_on_trial(graphs, sequences: Sequences, **settings):
    """Whether INT8 keeps its limits."""
    return trial.put_on_trial(graphs, graph_rows_of(sequences), task=RUL, **settings)


def judge_quantization(answers, *, fp32, int8):
    """The same of answers and costs."""
    return limits.judge_quantization(answers, task=RUL, fp32=fp32, int8=int8)
