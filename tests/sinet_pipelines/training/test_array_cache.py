"""The cache of arrays: equal arrays from mapped files, made again where one is damaged, never over its limit."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sinet_pipelines.training.array_cache import ArrayCache

KEY, OTHER, THIRD = (digit * 16 for digit in "abc")


def never():
    raise AssertionError("the arrays were made again")


def lines(n=1000, value=1.0):
    return {"z_LS": np.full((n, 21), value, dtype=np.float32), "present_L": np.ones(n, dtype=bool)}


@given(
    array=st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.bool_]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    )
)
def test_what_was_made_is_found_with_its_type_and_shape(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("cache")
    ArrayCache(folder).arrays(KEY, lambda: {"a": array})
    found = ArrayCache(folder).arrays(KEY, never)["a"]
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_found_arrays_are_views_of_the_file_and_read_only(tmp_path):
    ArrayCache(tmp_path).arrays(KEY, lines)
    found = ArrayCache(tmp_path).arrays(KEY, never)["z_LS"]
    assert not found.flags.owndata
    assert not found.flags.writeable


def test_hits_and_misses_are_counted_and_shown(tmp_path):
    cache = ArrayCache(tmp_path)
    for _ in range(3):
        cache.arrays(KEY, lines)
    assert (cache.hits, cache.misses) == (2, 1)
    assert cache.summary.startswith("training cache: 2 of 3 reads found, the last in 0.")


@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[:500], lambda raw: raw.replace(b"\x00\x00\x80?", b"\x00\x00\x80@")]
)
def test_a_damaged_file_is_made_again(tmp_path, damage):
    ArrayCache(tmp_path).arrays(KEY, lines)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    cache = ArrayCache(tmp_path)
    assert cache.arrays(KEY, lines)["z_LS"].sum() == 21_000
    assert cache.misses == 1
    assert ArrayCache(tmp_path).arrays(KEY, never)["z_LS"].sum() == 21_000


def test_the_least_recently_used_file_goes_when_the_limit_is_reached(tmp_path):
    cache = ArrayCache(tmp_path, max_bytes=200_000)  # two files of 86 kB
    for age, key in ((20, KEY), (10, OTHER)):
        cache.arrays(key, lines)
        os.utime(tmp_path / f"{key}.arrow", (time.time() - age,) * 2)
    cache.arrays(KEY, never)
    cache.arrays(THIRD, lines)
    assert sorted(path.stem for path in tmp_path.iterdir()) == [KEY, THIRD]


def test_arrays_over_the_limit_are_returned_and_not_stored(tmp_path):
    assert ArrayCache(tmp_path, max_bytes=10).arrays(KEY, lines)["present_L"].all()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_not_used_for_a_week_goes_and_files_of_others_stay(tmp_path):
    cache = ArrayCache(tmp_path)
    cache.arrays(KEY, lines)
    (tmp_path / "mine.arrow").write_bytes(b"of a person")
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 8 * 86_400,) * 2)
    cache.arrays(OTHER, lines)
    assert sorted(path.stem for path in tmp_path.iterdir()) == [OTHER, "mine"]


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path):
    (tmp_path / "cache").write_bytes(b"a file")
    cache = ArrayCache(tmp_path / "cache")
    assert cache.arrays(KEY, lines)["present_L"].all()
    assert (cache.hits, cache.misses) == (0, 1)
