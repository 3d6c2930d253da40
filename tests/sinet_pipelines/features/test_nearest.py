"""The index of past failures: its recall against all vectors, its file, and what a query returns."""

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.errors import StorageError
from sinet_pipelines.features.nearest import (
    RECALL_LIMIT,
    Embedding,
    Neighbours,
    build,
    exact,
    from_bytes,
    recall,
    to_bytes,
)

rng = np.random.default_rng(7)
VECTORS = rng.normal(size=(600, 8)).astype(np.float32)
ROWS = pl.DataFrame({"unit": [f"E{n // 20:02}" for n in range(600)], "cycle": [n % 20 for n in range(600)]})


@pytest.fixture(scope="module")
def index():
    return build(ROWS, VECTORS)


def test_the_exact_search_is_that_of_plain_loops():
    query = VECTORS[3]
    by_hand = sorted(
        (float(np.sqrt(sum((a - b) ** 2 for a, b in zip(v, query, strict=True)))), n) for n, v in enumerate(VECTORS)
    )
    places, distances = exact(VECTORS, query, 4)
    assert places.tolist() == [place for _, place in by_hand[:4]]
    np.testing.assert_allclose(distances, [distance for distance, _ in by_hand[:4]], rtol=1e-4, atol=1e-6)


def test_the_index_finds_what_an_exact_search_finds(index):
    queries = rng.normal(size=(50, 8)).astype(np.float32)
    found = recall(index, VECTORS, queries)
    assert found is not None
    assert found >= RECALL_LIMIT


def test_the_recall_of_an_index_of_half_of_the_vectors_is_low():
    half = Neighbours(ROWS[:300], VECTORS[:300])
    found = recall(half, VECTORS, rng.normal(size=(50, 8)).astype(np.float32))
    assert 0.3 < found < 0.7


def test_the_recall_of_equal_vectors_is_whole():
    same = np.zeros((40, 8), np.float32)
    assert recall(build(ROWS[:40], same), same, same[:3]) == 1.0


def test_there_is_no_recall_without_vectors_or_queries():
    assert recall(build(ROWS[:0], VECTORS[:0]), VECTORS[:0], VECTORS[:3]) is None
    assert recall(build(ROWS[:4], VECTORS[:4]), VECTORS[:4], VECTORS[:0]) is None


def test_each_unit_comes_once_with_its_nearest_window(index):
    query = VECTORS[45]
    found = index.nearest_groups(query, 5, group="unit", but="nobody")
    assert found["unit"][0] == "E02"
    assert found["cycle"][0] == 5
    assert found["distance"][0] == 0
    assert found["unit"].n_unique() == found.height == 5
    assert found["distance"].is_sorted()
    nearest = {}
    for (unit, _), vector in zip(ROWS.iter_rows(), VECTORS, strict=True):
        nearest[unit] = min(nearest.get(unit, np.inf), float(np.linalg.norm(vector - query)))
    assert found["unit"].to_list() == sorted(nearest, key=nearest.get)[:5]


def test_the_unit_of_the_query_is_left_out(index):
    found = index.nearest_groups(VECTORS[45], 40, group="unit", but="E02")
    assert "E02" not in found["unit"]
    assert found.height == 29  # all others, though 40 were requested


def test_an_index_without_vectors_finds_nothing():
    empty = build(ROWS[:0], VECTORS[:0])
    content, facts = from_bytes(to_bytes(empty, {"failures": 0}))
    assert content.nearest_groups(VECTORS[0], 3, group="unit", but="").height == 0
    assert facts == {"failures": 0}


def test_a_file_has_the_rows_the_facts_and_the_same_neighbours(index):
    read, facts = from_bytes(to_bytes(index, {"standards": ["a"], "recall_at_10": 1.0}))
    assert facts == {"standards": ["a"], "recall_at_10": 1.0}
    assert read.rows.equals(ROWS)
    before, after = (one.nearest(VECTORS[9] + 0.1, 10) for one in (index, read))
    assert before[0].tolist() == after[0].tolist()
    np.testing.assert_array_equal(before[1], after[1])


def test_equal_vectors_make_an_equal_file(index):
    assert to_bytes(build(ROWS, VECTORS), {}) == to_bytes(index, {})


@pytest.mark.parametrize("length", [0, 10, 300, -40])
def test_a_file_that_is_cut_off_is_refused(index, length):
    content = to_bytes(index, {})
    with pytest.raises(StorageError, match=r"is no index of this version.*make it again"):
        from_bytes(content[:length] if length >= 0 else b"OTHER" + content)


def test_an_embedding_divides_each_feature_by_its_scale():
    rows = pl.DataFrame({"b": [2.0, None], "a": [3.0, 9.0]})
    vectors = Embedding(("a", "b"), (3.0, 0.5)).of(rows)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.float32([[1, 4], [3, np.nan]]))


def test_the_version_of_an_embedding_changes_with_its_features_and_scales():
    versions = [
        Embedding(*one).version
        for one in ((("a", "b"), (1.0, 1.0)), (("b", "a"), (1.0, 1.0)), (("a", "b"), (1.0, 2.0)), (("a",), (1.0,)))
    ]
    assert len(set(versions)) == 4
    assert versions[0] == Embedding(("a", "b"), (1.0, 1.0)).version
