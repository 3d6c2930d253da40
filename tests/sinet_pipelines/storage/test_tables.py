"""Tables: days replaced exactly, versions by content, writers that meet."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.errors import StorageError
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.aside import ASIDE
from sinet_pipelines.storage.commits import commits_checked
from sinet_pipelines.storage.locks import creation_lock, held, is_held
from sinet_pipelines.storage.tables import TableStore, content_hash, empty, to_contract

READINGS = Contract(
    "readings",
    "One reading.",
    DataClass.RAW,
    (
        Column("unit", pa.string(), "engine"),
        Column("cycle", pa.int32(), "cycle"),
        Column("t2_degr", pa.float64(), "temperature", nullable=True),
        Column("event_date", pa.date32(), "day"),
    ),
    key=("unit", "cycle"),
)
DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(5)]


def rows(day, *, value=1.0, count=3):
    return pl.DataFrame(
        {
            "unit": ["a"] * count,
            "cycle": pl.Series(range(count), dtype=pl.Int32),
            "t2_degr": [value] * count,
            "event_date": [day] * count,
        }
    )


@pytest.fixture
def store(tmp_path):
    return TableStore(str(tmp_path / "tables"))


def test_replacing_a_day_leaves_the_others_alone(store):
    store.replace_days(READINGS, pl.concat(rows(day) for day in DAYS), days=DAYS)
    store.replace_days(READINGS, rows(DAYS[2], value=9.0, count=1), days=[DAYS[2]])
    read = store.read(READINGS).group_by("event_date").agg(pl.len(), pl.col("t2_degr").mean()).sort("event_date")
    assert read["len"].to_list() == [3, 3, 1, 3, 3]
    assert read["t2_degr"].to_list() == [1.0, 1.0, 9.0, 1.0, 1.0]


def test_a_day_replaced_by_nothing_is_empty(store):
    store.replace_days(READINGS, pl.concat(rows(day) for day in DAYS[:2]), days=DAYS[:2])
    written = store.replace_days(READINGS, empty(READINGS), days=[DAYS[0]])
    assert store.read(READINGS)["event_date"].unique().to_list() == [DAYS[1]]
    assert written.rows_per_day == {DAYS[0]: 0}


def test_rows_of_another_day_are_refused(store):
    with pytest.raises(StorageError, match="3 rows of readings are of other days"):
        store.replace_days(READINGS, rows(DAYS[1]), days=[DAYS[0]])
    assert not store.exists(READINGS)


def test_a_table_never_written_reads_as_empty(store):
    assert store.read(READINGS, days=(DAYS[0], DAYS[1])).shape == (0, 4)


def test_a_missing_column_is_named(store):
    with pytest.raises(StorageError, match="readings lacks t2_degr"):
        store.replace(READINGS, rows(DAYS[0]).drop("t2_degr"))


def test_values_of_another_type_are_refused_in_one_sentence(store):
    with pytest.raises(StorageError, match="rows of readings are not of its contract's types"):
        store.replace(READINGS, rows(DAYS[0]).with_columns(cycle=pl.lit([[1]])))


def test_the_written_table_has_the_contracts_schema(store):
    store.replace(READINGS, rows(DAYS[0]).select(reversed(rows(DAYS[0]).columns)))
    assert store.read(READINGS).columns == [c.name for c in READINGS.columns]
    assert to_contract(rows(DAYS[0]), READINGS).schema == READINGS.schema


@given(order=st.permutations(range(6)), cut=st.integers(1, 5))
def test_the_version_of_rows_does_not_depend_on_order_or_chunks(order, cut):
    frame = rows(DAYS[0], count=6).with_columns(t2_degr=pl.Series([1.0, None, -0.0, 2.5, 3.0, 4.0]))
    shuffled = frame[list(order)]
    chunked = pl.concat([shuffled[:cut], shuffled[cut:]], rechunk=False)
    assert content_hash(chunked, READINGS) == content_hash(frame, READINGS)


def test_the_version_that_a_write_tells_is_that_of_the_rows_it_left(store):
    wide = rows(DAYS[0]).with_columns(pl.col("cycle").cast(pl.Int64), pl.col("t2_degr").cast(pl.Float32))
    for written in (store.replace(READINGS, wide), store.replace_days(READINGS, wide, days=[DAYS[0]])):
        assert list(written.data_versions.values()) == [content_hash(store.read(READINGS), READINGS)]


def test_a_null_and_a_zero_have_different_versions():
    null = rows(DAYS[0], count=1).with_columns(t2_degr=pl.lit(None, dtype=pl.Float64))
    assert content_hash(null, READINGS) != content_hash(rows(DAYS[0], value=0.0, count=1), READINGS)


def test_both_zeros_have_one_version():
    assert content_hash(rows(DAYS[0], value=-0.0, count=1), READINGS) == content_hash(
        rows(DAYS[0], value=0.0, count=1), READINGS
    )


@pytest.mark.slow
def test_writers_of_different_days_all_come_through(store, tmp_path):
    store.replace_days(READINGS, rows(DAYS[0]), days=[DAYS[0]])
    script = tmp_path / "writer.py"
    script.write_text(
        "import sys, datetime as d, polars as pl\n"
        f"sys.path.insert(0, {str(__import__('pathlib').Path(__file__).parent)!r})\n"
        "from test_tables import READINGS, rows\n"
        "from sinet_pipelines.storage.tables import TableStore\n"
        "day = d.date.fromisoformat(sys.argv[2])\n"
        "for value in (1.0, 2.0, 3.0):\n"
        "    TableStore(sys.argv[1]).replace_days(READINGS, rows(day, value=value), days=[day])\n"
    )
    processes = [subprocess.Popen([sys.executable, str(script), store.root, str(day)]) for day in DAYS[:4]]
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0, 0]
    read = store.read(READINGS)
    assert read.height == 12
    assert read["t2_degr"].unique().to_list() == [3.0]


def test_a_full_disk_is_one_sentence_and_loses_nothing(store, tmp_path):
    store.replace_days(READINGS, rows(DAYS[0]), days=[DAYS[0]])
    blocked = Path(store.uri(READINGS)) / "event_date=2026-01-02"
    blocked.write_text("a file where the writer wants a folder")
    with pytest.raises(StorageError, match="nothing of this write was kept"):
        store.replace_days(READINGS, rows(DAYS[1]), days=[DAYS[1]])
    assert store.read(READINGS).height == 3


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_day_written_in_batches_is_the_day_written_at_once(tmp_path: Path, batch: int) -> None:
    frame = rows(DAYS[0], value=0.5, count=5)
    at_once = TableStore(str(tmp_path / "once")).replace_days(READINGS, frame, days=[DAYS[0]])
    store = TableStore(str(tmp_path / "batches"))
    store.replace_days(READINGS, rows(DAYS[1], value=9.0), days=[DAYS[1]])
    parts = [frame[start : start + batch] for start in range(0, frame.height, batch)]
    written = store.replace_day_from(READINGS, lambda: iter(parts), day=DAYS[0])
    assert (written.data_versions, written.rows_per_day) == (at_once.data_versions, at_once.rows_per_day)
    parts = list(store.read_in_batches(READINGS, day=DAYS[0], rows=2))
    assert max(part.height for part in parts) <= 2
    assert pl.concat(parts).sort(READINGS.order).equals(frame.select(READINGS.schema.names))
    assert store.read(READINGS, days=(DAYS[1], DAYS[1])).height == 3


@pytest.mark.parametrize("is_stream", [True, False])
def test_features_are_written_without_a_dictionary_of_their_values(store, is_stream):
    feature = Column("mean", pa.float32(), "mean", nullable=True)
    contract = replace(READINGS, name="features", columns=(*READINGS.columns, feature))
    frame = rows(DAYS[0]).with_columns(pl.Series("mean", [0.5, None, 1.5], dtype=pl.Float32))
    if is_stream:
        store.replace_day_from(contract, lambda: iter([frame]), day=DAYS[0])
    else:
        store.replace_days(contract, frame, days=[DAYS[0]])
    (file,) = Path(store.uri(contract)).rglob("*.parquet")
    group = pq.read_metadata(file).row_group(0)
    found = {group.column(n).path_in_schema: group.column(n).has_dictionary_page for n in range(group.num_columns)}
    assert (found["unit"], found["t2_degr"], found["mean"]) == (True, True, False)
    assert store.read(contract)["mean"].to_list() == [0.5, None, 1.5]


def test_a_batch_that_fails_leaves_the_day_as_it_was(tmp_path: Path) -> None:
    store = TableStore(str(tmp_path))
    before = store.replace_days(READINGS, rows(DAYS[0]), days=[DAYS[0]])

    def failing() -> Iterator[pl.DataFrame]:
        yield rows(DAYS[0], value=7.0)
        raise StorageError("the drop is gone")

    with pytest.raises(StorageError, match="the drop is gone"):
        store.replace_day_from(READINGS, failing, day=DAYS[0])
    assert content_hash(store.read(READINGS), READINGS) == before.data_versions[DAYS[0]]


def test_batches_of_another_day_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="of other days"):
        TableStore(str(tmp_path)).replace_day_from(READINGS, lambda: iter([rows(DAYS[1])]), day=DAYS[0])


def test_writers_that_create_a_table_at_once_all_come_through_and_none_moves_it_aside(tmp_path):
    for attempt in range(5):
        store = TableStore(str(tmp_path / f"tables-{attempt}"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda day, store=store: store.replace_days(READINGS, rows(day), days=[day]), DAYS))
        assert store.days(READINGS) == set(DAYS)
        assert not list(Path(store.root).rglob(ASIDE))


def test_a_writer_waits_for_the_process_that_creates_its_table(store):
    folder = Path(store.uri(READINGS))
    written = []
    with ThreadPoolExecutor(1) as pool, held(creation_lock(folder)):
        folder.mkdir()
        (folder / "part.parquet").write_bytes(b"half")
        assert store.health(READINGS).faults == ()
        assert store.read(READINGS).height == 0
        pool.submit(lambda: written.append(store.replace_days(READINGS, rows(DAYS[0]), days=[DAYS[0]])))
        time.sleep(0.3)
        assert not written
        (folder / "part.parquet").unlink()
    assert store.read(READINGS).height == 3
    assert not list(Path(store.root).rglob(ASIDE))


def test_a_process_that_waited_for_the_lock_of_creation_is_checked_when_it_has_it(store):
    lock, found = creation_lock(Path(store.uri(READINGS))), []
    with commits_checked(lambda: found.append(is_held(lock))):
        store.replace_days(READINGS, rows(DAYS[0]), days=DAYS[:1])
    assert found == [True]


def test_rows_are_compressed_alike_if_they_are_written_at_once_or_in_batches(store):
    store.replace_days(READINGS, rows(DAYS[0]), days=DAYS[:1])
    store.replace_day_from(READINGS, lambda: iter([rows(DAYS[1])]), day=DAYS[1])
    files = [pq.read_metadata(path) for path in Path(store.uri(READINGS)).rglob("*.parquet")]
    assert [file.row_group(0).column(0).compression for file in files] == ["SNAPPY", "SNAPPY"]
