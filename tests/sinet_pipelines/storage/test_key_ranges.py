"""Ranges of a key cover each key once, whatever its columns and its order."""

import random

import polars as pl
import pytest

from sinet_pipelines.storage.key_ranges import KeyedFile, KeyRange, ranges_of

NAMES = ("unit", "cycle")


def drawn(seed, rows=200):
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    values = [(draw.choice(["", "a", "Z", "ä", "日", "a\x00"]), draw.choice([None, -1, 0, 7])) for _ in range(rows)]
    return pl.DataFrame(values, schema={"unit": pl.String, "cycle": pl.Int32}, orient="row").with_row_index()


@pytest.mark.parametrize(("rows_at_once", "seed"), [(1, 0), (7, 1), (60, 2), (1000, 3)])
def test_each_row_is_in_one_range_and_equal_keys_are_together(rows_at_once, seed):
    rows = drawn(seed)
    ranges = ranges_of([rows.lazy(), rows.lazy()], NAMES, rows_at_once=rows_at_once)
    parts = [rows.filter(span.condition) for span in ranges]
    assert pl.concat(parts).sort("index").equals(rows)
    keys = [one.select(NAMES).unique().drop_nulls() for one in parts]
    assert not pl.concat(keys).is_duplicated().any()
    full = pl.concat([one.drop_nulls().sort(NAMES) for one in parts])
    assert full.select(NAMES).equals(rows.drop_nulls().sort(NAMES).select(NAMES))


def test_a_range_has_about_the_rows_of_all_tables_that_are_allowed():
    rows = pl.DataFrame({"unit": [f"{n:05}" for n in range(10_000)]})
    sizes = [rows.filter(span.condition).height for span in ranges_of([rows.lazy()] * 2, ["unit"], rows_at_once=1000)]
    assert max(sizes) <= 600
    assert len(sizes) <= 21


def test_one_key_with_many_rows_is_in_one_range():
    rows = pl.DataFrame({"unit": ["a"] * 1000 + ["b"] * 5})
    ranges = ranges_of([rows.lazy()], ["unit"], rows_at_once=10)
    assert [rows.filter(span.condition)["unit"].unique().to_list() for span in ranges][0] == ["a"]


def test_a_file_returns_the_rows_of_a_range_in_any_order_of_its_frames(tmp_path):
    rows = drawn(5)
    span = KeyRange(NAMES, after=("a", -1), until=("ä", 0))
    with KeyedFile(NAMES, tmp_path) as file:
        for start in range(0, rows.height, 9):
            file.add(rows[start : start + 9])
        assert pl.concat(file.read(span)).sort("index").equals(rows.filter(span.condition))
        assert pl.concat(file).equals(rows)
