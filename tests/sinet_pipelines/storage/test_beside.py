"""Tables beside a table, written by two processes at once."""

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage import beside
from sinet_pipelines.storage.beside import Replacement, scan_sound
from sinet_pipelines.storage.tables import TableStore, empty

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
FORMER = Contract(
    "rows_history",
    "A former row.",
    DataClass.RAW,
    (
        Column("unit", pa.string(), "unit"),
        Column("value", pa.int64(), "value", nullable=True),
        Column("event_date", pa.date32(), "day"),
        Column("row_hash", pa.string(), "hash"),
        Column("known_from", pa.timestamp("us", tz="UTC"), "instant"),
    ),
    key=("unit", "known_from"),
)
PRESENT = replace(
    FORMER, columns=tuple(replace(c, dtype=pa.string()) if c.name == "value" else c for c in FORMER.columns)
)


def row(day, contract=FORMER):
    values = {
        "unit": "a",
        "value": 1,
        "event_date": day,
        "row_hash": f"{day}",
        "known_from": datetime(2026, 3, 9, tzinfo=UTC),
    }
    types = pl.Schema(contract.schema)
    return pl.DataFrame([values], schema=pl.Schema(FORMER.schema)).select(pl.col(c).cast(types[c]) for c in types)


def test_a_day_that_another_process_writes_while_the_whole_is_rewritten_is_there_once(tmp_path, monkeypatch):
    store = TableStore(str(tmp_path), "mill")
    store.replace_days(FORMER, row(DAYS[0]), days=DAYS[:1])
    writes = iter([lambda: store.replace_days(FORMER, row(DAYS[1]), days=DAYS[1:2])])

    def after_another_write(*arguments):
        next(writes, lambda: None)()
        return scan_sound(*arguments)

    monkeypatch.setattr(beside, "scan_sound", after_another_write)
    with Replacement(store, PRESENT, DAYS[2:]) as replacement:
        replacement.add(row(DAYS[2], PRESENT), was=empty(PRESENT))
        replacement.write()
    assert store.read(PRESENT)["event_date"].sort().to_list() == DAYS
