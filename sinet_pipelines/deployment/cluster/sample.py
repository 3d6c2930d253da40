"""Stores the sample of a graph as a blob: the valid row that every server of the graph predicts before it is ready."""

import base64
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.blobs import BlobStore

_REF = "endpoint_samples/of_{sha256}"


def keep_sample(blobs: BlobStore, sample: Mapping[str, NDArray], *, sha256: str) -> str:
    """Stores the sample of a graph, unless the graph has one already; returns the name of the sample's blob.

    A new sample would change the pod template, and so cause a rollout without a change for clients.

    Args:
        blobs: blob store of the endpoint's region.
        sample: input name -> (1, ...) array.
        sha256: SHA-256 of the graph.
    """
    ref = _REF.format(sha256=sha256)
    kept = blobs.resolve(ref)
    if kept is not None and _is_readable(blobs, kept):
        return kept
    name = blobs.put(_encoded(sample))
    blobs.point(ref, name)
    return name


def read_sample(content: bytes) -> dict[str, NDArray]:
    """The sample in a blob that `keep_sample` stored: input name -> (1, ...) array.

    Raises:
        StorageError: the bytes are not a sample.
    """
    try:
        return {
            name: np.frombuffer(base64.b64decode(one["data"]), dtype=np.dtype(one["dtype"])).reshape(one["shape"])
            for name, one in json.loads(content).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"the blob is not an endpoint's sample ({error}); materialise the endpoint again") from error


def _encoded(sample: Mapping[str, NDArray]) -> bytes:
    content = {
        name: {"dtype": values.dtype.str, "shape": values.shape, "data": base64.b64encode(values.tobytes()).decode()}
        for name, values in sample.items()
    }
    return json.dumps(content, sort_keys=True).encode()


def _is_readable(blobs: BlobStore, name: str) -> bool:
    try:
        read_sample(blobs.get(name))
    except StorageError:
        return False
    return True
