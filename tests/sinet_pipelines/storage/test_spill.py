"""Sorting on disk gives what sorting in memory gives, whatever the sizes of batches and runs."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.errors import DiskError
from sinet_pipelines.storage.spill import FrameFile, Sorter

ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", "ü", None]), st.integers(0, 3), st.integers(0, 9)), max_size=80)


def frame(rows: list[tuple[str | None, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"unit": pl.String, "cycle": pl.Int32, "drop": pl.Int64}, orient="row")


def sorted_on_disk(rows: pl.DataFrame, *, batch: int, run_bytes: int) -> list[pl.DataFrame]:
    with Sorter(("unit", "cycle"), then=("drop",), run_bytes=run_bytes) as sorter:
        for start in range(0, rows.height, batch):
            sorter.add(rows[start : start + batch])
        return list(sorter.sorted())


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 9), st.sampled_from([1, 200, 1 << 20]))
def test_rows_come_back_as_sorting_in_memory_orders_them(rows: list, batch: int, run_bytes: int) -> None:
    found = sorted_on_disk(frame(rows), batch=batch, run_bytes=run_bytes)
    assert pl.concat([frame([]), *found]).rows() == frame(rows).sort("unit", "cycle", "drop").rows()


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 9))
def test_rows_of_equal_keys_come_in_one_frame(rows: list, batch: int) -> None:
    keys = [set(part.select("unit", "cycle").rows()) for part in sorted_on_disk(frame(rows), batch=batch, run_bytes=1)]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_many_runs_come_back_in_many_frames() -> None:
    rows = frame([("u", number % 997, number) for number in range(3000)])
    found = sorted_on_disk(rows, batch=100, run_bytes=2000)
    assert len(found) > 3
    assert pl.concat(found).rows() == rows.sort("unit", "cycle", "drop").rows()


def test_what_was_added_after_a_mark_is_let_go() -> None:
    with Sorter(("unit",)) as sorter:
        sorter.add(frame([("a", 1, 1)]))
        sorter.flush()
        mark = sorter.runs
        sorter.add(frame([("b", 1, 1)]))
        sorter.flush()
        sorter.add(frame([("c", 1, 1)]))
        sorter.forget(mark)
        assert pl.concat(sorter.sorted())["unit"].to_list() == ["a"]


def test_a_file_of_frames_leaves_no_name_behind(tmp_path: Path) -> None:
    with FrameFile(tmp_path / "region") as file:
        file.add(frame([("a", 1, 1)]))
        file.add(frame([]))
        file.add(frame([("b", 2, 2)]))
        assert [part["unit"].to_list() for part in file] == [["a"], ["b"]]
        assert list((tmp_path / "region").iterdir()) == []


def test_a_frame_that_was_never_added_is_refused() -> None:
    with pytest.raises(IndexError):
        FrameFile(None).read(0)


def test_a_full_disk_under_spilled_rows_is_an_error_with_its_cure(tmp_path: Path) -> None:
    with Path("/dev/full").open("r+b", buffering=0) as full:
        file = FrameFile(tmp_path, _file=full)
        with pytest.raises(DiskError, match=r"no space is left; free some and run again") as raised:
            file.add(pl.DataFrame({"a": [1]}))
    assert str(tmp_path) in str(raised.value)
