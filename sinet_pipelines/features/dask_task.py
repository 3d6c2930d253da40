"""What a Dask worker executes for one part of the rows: function and frames as bytes in, a frame as bytes out."""

import hashlib
import os
import pickle
import platform
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
class Work:
    """A function and the frames of one part, which a worker reads after it has compared its code with the step's.

    Attributes:
        content: the two, pickled.
    """

    content: bytes = field(repr=False)


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


def work_of(function: Compute, frames: Sequence[pl.DataFrame]) -> Work:
    """What `compute_part` computes.

    Args:
        function: takes the frames; a function of a module, or a `partial` of one.
        frames: of the part.
    """
    return Work(pickle.dumps((function, [pack(frame) for frame in frames])))


def compute_part(work: Work, *, code: str) -> Computed:
    """Computes one part on a worker.

    Args:
        work: the function and the frames of the part.
        code: `code_digest` of the process that sends the part.

    Raises:
        ClusterError: the worker has other code, whose results might differ.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}"
    if code_digest() != code:
        raise ClusterError(other_code(f"the Dask worker {worker}"))
    # from the step, over a connection whose messages Dask unpickles itself
    function, frames = pickle.loads(work.content)  # noqa: S301
    rows = function(*(one.frame() for one in frames))
    return Computed(pack(rows), worker, peak_mib())


@lru_cache(maxsize=1)
def code_digest() -> str:
    """16 hex digits: a hash of the sources of `sinet_pipelines`, the versions and the processor's architecture."""
    libraries = f"{sys.version_info[:2]} {pl.__version__} {np.__version__}"
    found = hashlib.sha256(f"{libraries} {platform.machine()}".encode())
    package = Path(sinet_pipelines.__path__[0])
    for path in sorted(package.rglob("*.py")):
        found.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def other_code(side: str) -> str:
    """The message of an error: a side of Dask has other code than the step.

    Args:
        side: scheduler or worker, with its address.
    """
    return (
        f"{side} has other code or libraries than the step; start scheduler and workers from the step's image, on "
        "processors of one architecture, then run the step again"
    )


def lacks_code(error: BaseException) -> bool:
    """Whether a scheduler or a worker could not read a part because its code is not the step's.

    Args:
        error: of the part; an error of the function itself is none of these.
    """
    if isinstance(error, RuntimeError):
        return str(error).startswith("Error during deserialization of the task graph")
    if isinstance(error, ImportError):
        return (error.name or "").split(".")[0] == sinet_pipelines.__name__
    return isinstance(error, AttributeError) and str(error).startswith("Can't get attribute")
