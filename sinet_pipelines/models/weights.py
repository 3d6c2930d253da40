"""Weights of networks on disk: safetensors, float32 arrays by name; equal weights give equal bytes."""

from collections.abc import Mapping

import numpy as np

from sinet_pipelines.models.model import Singles


def write_weights(weights: Mapping[str, Singles]) -> bytes:
    """The arrays as one file."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(weights[name], dtype=np.float32) for name in sorted(weights)})


def read_weights(content: bytes) -> dict[str, Singles]:
    """The arrays that `write_weights` wrote."""
    from safetensors.numpy import load

    return dict(load(content))
