"""An index of windows before past failures: embeds rows of features, finds the nearest ones, measures its recall.

The index is a graph of neighbours (HNSW, Malkov and Yashunin 2016) by `usearch`, with Euclidean distances. Its file has
the rows beside the graph and no pickled object. Letters: B rows, D numbers of an embedding, K neighbours.
"""

import io
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.errors import StorageError, UsageError, first_line
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import TableStore

LEFT = "cycles_to_failure"  # column of windows before failures
COUNT = 10  # neighbours of a query, and of the recall that is checked
RECALL_LIMIT = 0.95
QUERIES = 200  # windows by which the recall is measured: its standard error is then below 0.005 at 0.95
CONNECTIVITY = 16  # neighbours of a vector in the graph, the default of usearch
EXPANSION = 128  # candidates that are kept while the graph is built and searched: recall above 0.99 at 100,000 vectors
_MAGIC = b"SINETNN1"  # changes with the form of the file
_HEAD = struct.Struct("<8sQ")

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Embedding:
    """A vector for a row of features: some of the features, each divided by its scale.

    Attributes:
        columns: names of the features, in order.
        scales: for each, the size of a difference that is 1 in the vector, in the unit of the feature.
    """

    columns: tuple[str, ...]
    scales: tuple[float, ...]

    @property
    def version(self) -> str:
        """16 hex digits: equal for equal features and scales, and a part of the index's name."""
        pairs = zip(self.columns, self.scales, strict=True)
        return fingerprint(_MAGIC.decode(), *(f"{name}/{scale!r}" for name, scale in pairs))

    def of(self, rows: pl.DataFrame) -> Singles:
        """(B, D) the vectors of the rows; a missing feature is NaN."""
        values_BD = rows.select(self.columns).cast(pl.Float64).to_numpy()
        return np.ascontiguousarray(values_BD / np.asarray(self.scales), dtype=np.float32)


@dataclass(frozen=True)
class PastFailures:
    """What an application declares to find the past failures that are most similar to a unit.

    Attributes:
        table: contract of the features of windows.
        group: column of the unit.
        order: column that numbers the windows of a unit.
        standard: column with the version of what standardised a window; windows are compared only within one version.
        whole: column with the number of cycles present in a window, and the number that a complete window has.
        embedding: of a window.
        every: cycles between two windows of the index before one failure; the windows between them measure its recall.
        windows: for the tables of a region, the windows before its failures: `group`, `order`, `standard`,
            `cycles_to_failure` and the features of the embedding.
    """

    table: Contract
    group: str
    order: str
    standard: str
    whole: tuple[str, int]
    embedding: Embedding
    every: int
    windows: Callable[[TableStore], pl.DataFrame] = field(repr=False)

    @property
    def ref(self) -> str:
        """Name of the newest index among the blobs of a region; the version of the embedding is a part of it."""
        return f"failure_index/v_{self.embedding.version}"

    @property
    def is_whole(self) -> pl.Expr:
        """Whether a window is complete; a mean over fewer cycles has more noise than the vector's scale assumes."""
        column, cycles = self.whole
        return pl.col(column) == cycles

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a window that a query reads."""
        return (self.group, self.order, self.standard, *self.embedding.columns)


@dataclass(frozen=True)
class Neighbours:
    """Windows with their vectors, and the nearest of them to a query.

    Attributes:
        rows: one row for each vector, without features.
        vectors_BD: the vectors, for a search that compares with all of them; None where there is an index.
        index: the index of usearch; None where all vectors are compared.
    """

    rows: pl.DataFrame
    vectors_BD: Singles | None = None
    index: Any = field(default=None, repr=False)

    def nearest(self, vector_D: Singles, count: int) -> tuple[NDArray[np.int64], Singles]:
        """Places of the nearest rows and their distances, the nearest first; fewer where there are fewer rows."""
        count = min(count, self.rows.height)
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self.index is None:
            assert self.vectors_BD is not None  # one of both is there
            return exact(self.vectors_BD, vector_D, count)
        found = self.index.search(vector_D, count, threads=1)
        return found.keys.astype(np.int64), np.sqrt(np.maximum(found.distances, 0.0)).astype(np.float32)

    def nearest_groups(self, vector_D: Singles, count: int, *, group: str, but: str) -> pl.DataFrame:
        """The nearest window of each of the nearest units.

        Args:
            vector_D: the query.
            count: number of units; fewer are returned where there are fewer.
            group: column of the unit.
            but: a unit that is left out: that of the query.

        Returns:
            The rows of these windows with their `distance`, the nearest first.
        """
        wanted, most = count * 4, self.rows.height
        while True:
            places, distances = self.nearest(vector_D, wanted)
            found = self.rows[places.tolist()].with_columns(distance=pl.Series(distances, dtype=pl.Float64))
            found = found.filter(pl.col(group) != but).unique(group, keep="first", maintain_order=True)
            if found.height >= count or wanted >= most:
                return found.head(count)
            wanted *= 4


def exact(vectors_BD: Singles, vector_D: Singles, count: int) -> tuple[NDArray[np.int64], Singles]:
    """The nearest of all vectors by comparison with each; places and distances, the nearest first.

    >>> exact(np.float32([[0, 0], [3, 4], [1, 0]]), np.float32([0, 0]), 2)[1].tolist()
    [0.0, 1.0]
    """
    distances_B = np.linalg.norm(vectors_BD - vector_D, axis=1)
    places = np.argsort(distances_B, kind="stable")[:count]
    return places.astype(np.int64), distances_B[places].astype(np.float32)


def build(rows: pl.DataFrame, vectors_BD: Singles) -> Neighbours:
    """The index of some vectors; with one thread, so that equal vectors have an equal index.

    Args:
        rows: (B, columns) what a query returns.
        vectors_BD: finite.

    Raises:
        UsageError: usearch is not installed.
    """
    index = _library().Index(
        ndim=vectors_BD.shape[1],
        metric="l2sq",
        dtype="f32",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION,
        expansion_search=EXPANSION,
    )
    if len(vectors_BD):
        index.add(np.arange(len(vectors_BD)), vectors_BD, threads=1)
    return Neighbours(rows, index=index)


def to_bytes(index: Neighbours, facts: dict[str, Any]) -> bytes:
    """The file of an index: a head, the rows as Arrow IPC with the facts, then the graph of usearch."""
    import pyarrow as pa

    table = index.rows.to_arrow().replace_schema_metadata({b"facts": json.dumps(facts).encode()})
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    rows = buffer.getvalue()
    return _HEAD.pack(_MAGIC, len(rows)) + rows + bytes(index.index.save())


def from_bytes(content: bytes) -> tuple[Neighbours, dict[str, Any]]:
    """The index and the facts of a file.

    Raises:
        StorageError: it is no such file, is cut off, or another version of usearch wrote it.
        UsageError: usearch is not installed.
    """
    import pyarrow as pa

    library = _library()
    try:
        magic, size = _HEAD.unpack_from(content)
        if magic != _MAGIC:
            raise ValueError(f"it begins with {magic!r}")
        reader = pa.ipc.open_stream(pa.py_buffer(content[_HEAD.size : _HEAD.size + size]))
        table = reader.read_all()
        facts = json.loads((table.schema.metadata or {})[b"facts"])
        index = library.Index.restore(content[_HEAD.size + size :])
        if index is None or len(index) != table.num_rows:
            raise ValueError(f"it has {table.num_rows} rows and {0 if index is None else len(index)} vectors")
    except (struct.error, pa.ArrowException, ValueError, KeyError, RuntimeError) as error:
        raise StorageError(f"the file is no index of this version: {first_line(error)}; make it again") from error
    index.expansion_search = EXPANSION
    return Neighbours(pl.DataFrame(pl.from_arrow(table)), index=index), facts


def recall(index: Neighbours, vectors_BD: Singles, queries_QD: Singles, *, count: int = COUNT) -> float | None:
    """Share of the exact nearest rows that the index finds, on average over the queries; None without any of both.

    A row that is as near as the last exact one counts as found, so equal distances do not matter.

    Args:
        index: of the vectors.
        vectors_BD: all vectors.
        queries_QD: vectors of the queries.
        count: neighbours of a query.
    """
    count = min(count, len(vectors_BD))
    if not count or not len(queries_QD):
        return None
    shares = []
    for query_D in queries_QD:
        _, exact_K = exact(vectors_BD, query_D, count)
        _, found_K = index.nearest(query_D, count)
        shares.append(np.count_nonzero(found_K <= exact_K[-1] * (1 + 1e-5) + 1e-6) / count)
    return float(np.mean(shares))


def spread_out(rows: Sequence[int], most: int) -> list[int]:
    """At most so many of the rows, evenly spread.

    >>> spread_out(range(10), 4)
    [0, 2, 5, 7]
    """
    count = min(most, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]


def _library() -> Any:
    try:
        from usearch import index
    except ModuleNotFoundError as error:
        raise UsageError(
            f"an index of past failures needs the module {error.name}; install it with "
            "`pip install 'sinet-pipelines[train]'`"
        ) from error
    return index
