"""Stores the weights of networks: float32 arrays by name as safetensors; equal weights have equal bytes."""

from collections.abc import Mapping

import numpy as np

from sinet_pipelines.models.model import Singles


def write_weights(weights: Mapping[str, Singles]) -> bytes:
    """The bytes of one safetensors file with these arrays in float32."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(weights[name], dtype=np.float32) for name in sorted(weights)})


def read_weights(content: bytes) -> dict[str, Singles]:
    """The arrays by name in the bytes that `write_weights` returned."""
    from safetensors.numpy import load

    return dict(load(content))
