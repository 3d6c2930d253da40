"""A day read in batches is the day read at once, whatever the batches, row groups, copies and bad files."""

import io
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, DROP
from sinet_pipelines.ingestion.drops import encode_drop
from sinet_pipelines.ingestion.landing import LandingZone
from tests.inventory import EAST
from tests.sinet_pipelines.ingestion.conftest import DAY
from tests.zones import landing_zone


def put(zone: LandingZone, name: str, content: bytes) -> Path:
    path = zone.folder(EAST.name) / DAY.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def in_row_groups(rows: pl.DataFrame, size: int) -> bytes:
    table, buffer = pq.read_table(io.BytesIO(encode_drop(rows, DROP))), io.BytesIO()
    pq.write_table(table, buffer, row_group_size=size)
    return buffer.getvalue()


def assert_equal(zone: LandingZone, *, batch_rows: int) -> None:
    at_once = zone.read_day(EAST.name, DAY)
    with zone.sort_day(EAST.name, DAY, folder=zone.home / "tables", batch_rows=batch_rows) as day:
        rows = pl.concat([at_once.rows.clear(), *day.batches()])
        assert rows.rows() == at_once.rows.rows()
        assert (day.sent, day.duplicates) == (at_once.sent, at_once.duplicates)
        assert sorted(fault.message for fault in day.faults) == sorted(fault.message for fault in at_once.faults)


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_rows=st.integers(1, 40), group=st.integers(1, 40), copies=st.integers(0, 30), texts=st.booleans())
def test_batches_and_row_groups_make_no_difference(
    tmp_path_factory, make_rows, batch_rows: int, group: int, copies: int, texts: bool
) -> None:
    zone = landing_zone(tmp_path_factory.mktemp("home"), TELEMETRY)
    rows = make_rows(engines=3, cycles=8)
    if texts:
        broken = pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("hot"))
        rows = rows.with_columns(broken.otherwise(pl.col("t30_degr").cast(pl.String)).alias("t30_degr"))
    put(zone, "a.parquet", in_row_groups(rows, group))
    put(
        zone,
        "b.parquet",
        in_row_groups(pl.concat([rows.head(copies), make_rows(engines=1, seed=4)[:3]], how="vertical_relaxed"), group),
    )
    assert_equal(zone, batch_rows=batch_rows)


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_a_file_damaged_in_a_later_row_group_gives_none_of_its_rows(tmp_path, make_rows, batch_rows: int) -> None:
    zone = landing_zone(tmp_path, TELEMETRY)
    whole = bytearray(in_row_groups(make_rows(engines=4, cycles=30), 30))
    middle = whole.rindex(b"T-0004") if b"T-0004" in whole else len(whole) // 2
    whole[middle - 200 : middle + 40] = bytes(240)
    put(zone, "damaged.parquet", bytes(whole))
    put(zone, "good.parquet", in_row_groups(make_rows(engines=1, seed=2), 3))
    assert zone.read_day(EAST.name, DAY).sent == 5
    assert_equal(zone, batch_rows=batch_rows)


def test_the_same_bytes_twice_are_one_drop(tmp_path, make_rows) -> None:
    zone = landing_zone(tmp_path, TELEMETRY)
    content = in_row_groups(make_rows(), 3)
    put(zone, "a.parquet", content)
    put(zone, "b.parquet", content)
    assert_equal(zone, batch_rows=2)


def test_rows_of_one_engine_and_cycle_are_told_apart_by_their_hash(tmp_path, make_rows) -> None:
    zone = landing_zone(tmp_path, TELEMETRY)
    rows = make_rows(engines=1, cycles=40).with_columns(cycle=pl.lit(1, pl.Int32), unit=pl.lit(None, pl.String))
    put(zone, "a.parquet", in_row_groups(rows.with_columns(pl.lit(1.0).alias(CHANNELS[0])), 7))
    assert_equal(zone, batch_rows=3)


def test_nothing_is_left_in_the_folder_of_the_runs(tmp_path, make_rows) -> None:
    zone = landing_zone(tmp_path, TELEMETRY)
    put(zone, "a.parquet", in_row_groups(make_rows(), 3))
    with zone.sort_day(EAST.name, DAY, folder=tmp_path / "tables") as day:
        assert sum(rows.height for rows in day.batches()) == 10
        assert list((tmp_path / "tables").iterdir()) == []
