"""The tensors that an application's pre-processing writes into a graph for a family's part.

Letters: B rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sinet_pipelines.quantization.graph import GraphWriter


@dataclass(frozen=True)
class Signals:
    """The tensors that a family's part of the graph may read.

    Attributes:
        features: float64 (B, F) in the order of `feature_names`, each value exact in float32.
        feature_names: of the features.
        answerable: bool (B, 1), whether the row has enough values to predict; empty where every row has.
        z: float64 (B, steps, S), values of the last steps, 0 where a step is absent; empty without sequences.
        present: bool (B, steps, 1), whether a step holds values; empty without sequences.
        steps: of the window; 0 without sequences.
    """

    features: str
    feature_names: tuple[str, ...]
    answerable: str = ""
    z: str = ""
    present: str = ""
    steps: int = 0


class Preparation(Protocol):
    """The pre-processing of an application's graphs."""

    @property
    def inputs(self) -> Mapping[str, Sequence[int]]:
        """Shape of each FP32 input after its batch axis: the signature of every family."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The preparation's metadata in the graph: versions, and the contract of requests."""

    def write(self, graph: GraphWriter) -> Signals:
        """The signals of the inputs."""
