"""Functions of a frame that workers compute in tests; workers find them by the name of this module."""

import os
import signal
import sys
import time
from pathlib import Path

import polars as pl

from sinet_pipelines.errors import ContractError


def double(rows: pl.DataFrame) -> pl.DataFrame:
    """Twice each number."""
    return rows.select(pl.all() * 2)


def name_of_worker(rows: pl.DataFrame) -> pl.DataFrame:
    """The name of the worker that computes the rows."""
    from distributed import get_worker

    return rows.select(pl.lit(str(get_worker().name)).alias("worker"))


def double_slowly(rows: pl.DataFrame) -> pl.DataFrame:
    """The same, after half a second."""
    time.sleep(0.5)
    return double(rows)


def refuse(rows: pl.DataFrame) -> pl.DataFrame:
    """Raises an error of the platform."""
    raise ContractError(f"{rows.height} rows are refused")


def end_once(rows: pl.DataFrame, *, mark: str) -> pl.DataFrame:
    """Ends the first worker that computes it; the next one returns twice each number."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return double(rows)


def end_always(rows: pl.DataFrame) -> pl.DataFrame:
    """Ends every worker that computes it."""
    os.kill(os.getpid(), signal.SIGKILL)
    return rows


def wait(rows: pl.DataFrame, *, mark: str) -> pl.DataFrame:
    """Returns the rows after a minute, and writes its process id to a file when it starts."""
    Path(mark).with_suffix(".new").write_text(str(os.getpid()))
    Path(mark).with_suffix(".new").rename(mark)
    time.sleep(60)
    return rows


def compute_for_ever(mark: str) -> None:
    """Keeps a local worker busy, as a step whose process is killed would; its main module calls this."""
    from functools import partial

    from sinet_pipelines.features.dask_workers import DaskWorkers
    from sinet_pipelines.inventory.dask import DaskCluster, DaskKind

    with DaskWorkers(DaskCluster(DaskKind.LOCAL, max_workers=1, worker_memory_mib=1024), "EAST") as workers:
        list(workers.map(partial(wait, mark=mark), [(pl.DataFrame({"n": [1]}),)]))


if __name__ == "__main__":
    compute_for_ever(sys.argv[1])
