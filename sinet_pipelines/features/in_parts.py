"""Computes a function of frames part by part: in this process, or by another `PartMap` on workers.

A function that treats each entity by itself has the same result for all rows at once and for parts with some entities
each. Here are the interface and its default; `dask_workers.py` is the other implementation.
"""

import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import polars as pl

Part = tuple[pl.DataFrame, ...]
Compute = Callable[..., pl.DataFrame]


class PartMap(Protocol):
    """What computes a function of frames part by part."""

    @property
    def rows_at_once(self) -> int | None:
        """Rows of one part where a frame in memory is divided; None where one part of all rows is best."""

    def map(self, function: Compute, parts: Iterable[Part]) -> Iterator[pl.DataFrame]:
        """The function's result for each part, in the order of the parts; few parts are in memory at once.

        Args:
            function: takes the frames of a part; a function of a module, or a `partial` of one.
            parts: the frames of each part.

        Raises:
            ClusterError: workers do not respond, or a part ended several of them.
            Exception: whatever the function raises.
        """

    def entries(self) -> Mapping[str, str | int]:
        """For a page: where the rows since the last call were computed, and by how many workers.

        A peak of memory is that of a process since its start.
        """


class InProcess:
    """Computes each part in this process, one after the other."""

    rows_at_once = None

    def map(self, function: Compute, parts: Iterable[Part]) -> Iterator[pl.DataFrame]:
        """As `PartMap.map`."""
        for frames in parts:
            yield function(*frames)

    def entries(self) -> Mapping[str, str | int]:
        """As `PartMap.entries`."""
        return {"computed_by": "this process", "peak_memory_mib": peak_mib()}


IN_PROCESS = InProcess()


def peak_mib() -> int:
    """Peak resident memory of this process since its start, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
