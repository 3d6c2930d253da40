"""One asset that waits at a gate before it writes its table, so that a test knows where its workers are."""

import os
import time
from pathlib import Path

import dagster as dg
import polars as pl
import pyarrow as pa

from resources.router.definition import region_router
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.tables import TableStore
from tests.clusters.graph import bound

ATTEMPTS = Contract(
    "attempts",
    "Which attempt wrote the table.",
    DataClass.FEATURE,
    (Column("attempt", pa.int64(), "0 is the first."),),
    key=("attempt",),
)
LIMIT_S = 120


@dg.asset(**bound("EAST", "cpu"))
def table(context: dg.AssetExecutionContext) -> None:
    """Says that it is at work, waits until it may go on, writes."""
    folder = Path(os.environ["GATE"])
    (folder / f"at-work-{context.retry_number}").touch()
    deadline = time.monotonic() + LIMIT_S
    while not (folder / "open").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened the gate in {folder} within {LIMIT_S} s")
        time.sleep(0.05)
    TableStore(str(folder / "tables")).replace(ATTEMPTS, pl.DataFrame({"attempt": [context.retry_number]}))


defs = dg.Definitions(assets=[table], executor=region_router)
