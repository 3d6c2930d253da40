"""What a Dask worker executes for one part of the rows: frames as bytes in, a frame as bytes out."""

import hashlib
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl

import sinet_pipelines
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.features.in_parts import Compute, peak_mib


@dataclass(frozen=True)
class Packed:
    """A frame as an Arrow stream; logs and pages of Dask show no row of it.

    Attributes:
        content: the bytes of the stream.
    """

    content: bytes = field(repr=False)

    def frame(self) -> pl.DataFrame:
        """The frame."""
        return pl.read_ipc_stream(self.content)


@dataclass(frozen=True)
class Computed:
    """The result of one part.

    Attributes:
        rows: the result.
        worker: host and process that computed it.
        peak_mib: peak memory of that process so far.
    """

    rows: Packed
    worker: str
    peak_mib: int


def pack(frame: pl.DataFrame) -> Packed:
    """The frame as bytes."""
    buffer = BytesIO()
    frame.write_ipc_stream(buffer, compression="lz4")
    return Packed(buffer.getvalue())


def compute_part(function: Compute, frames: Sequence[Packed], *, code: str) -> Computed:
    """Computes one part on a worker.

    Args:
        function: takes the frames.
        frames: of the part.
        code: `code_digest` of the process that sends the part.

    Raises:
        ClusterError: the worker has other code, whose results might differ.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}"
    if code_digest() != code:
        raise ClusterError(
            f"the Dask worker {worker} has other code or libraries than the step; start the workers from the step's "
            "image, then run the step again"
        )
    rows = function(*(one.frame() for one in frames))
    return Computed(pack(rows), worker, peak_mib())


@lru_cache(maxsize=1)
def code_digest() -> str:
    """16 hex digits: a hash of the sources of `sinet_pipelines` and of the versions that results depend on."""
    found = hashlib.sha256(f"{sys.version_info[:2]} {pl.__version__} {np.__version__}".encode())
    package = Path(sinet_pipelines.__path__[0])
    for path in sorted(package.rglob("*.py")):
        found.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
