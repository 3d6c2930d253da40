"""Functions of a frame that workers compute in tests; workers find them by the name of this module."""

import os
import signal
import time
from pathlib import Path

import polars as pl

from sinet_pipelines.errors import ContractError


def double(rows: pl.DataFrame) -> pl.DataFrame:
    """Twice each number."""
    return rows.select(pl.all() * 2)


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
    """Returns the rows after a minute, and leaves a file when it starts."""
    Path(mark).touch()
    time.sleep(60)
    return rows
