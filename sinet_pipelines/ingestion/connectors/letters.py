"""Stores what is no row in the table `dead_letters` of the region, beside the messages of streams, each once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import polars as pl

from sinet_pipelines.ingestion.connectors.source import UnreadPiece
from sinet_pipelines.ingestion.streams.appended_table import AppendedTable
from sinet_pipelines.ingestion.streams.stream_tables import DEAD_LETTERS, LETTER
from sinet_pipelines.storage.tables import TableStore


class Letters:
    """The dead letters of one source.

    Args:
        store: the application's tables in the region.
        source: name of the source.
    """

    def __init__(self, store: TableStore, source: str) -> None:
        self._store, self._source = store, source

    def append(self, letters: Sequence[tuple[str, UnreadPiece]]) -> None:
        """Appends dead letters; those that are stored are not repeated, also not when their file grows.

        Args:
            letters: name of the part, and the piece of it that is no row.

        Raises:
            StorageError: the table cannot be written.
        """
        if not letters:
            return
        table = AppendedTable(self._store.uri(DEAD_LETTERS), self._store.storage_options, LETTER)
        ids = [_id(self._source, *one) for one in letters]
        is_ours = (pl.col("stream_source") == _text(self._source)) & pl.col("message_id").is_in(ids)
        stored = set(table.scan().filter(is_ours).select("message_id").collect()["message_id"].to_list())
        new = [(name, one, found) for name, (one, found) in zip(ids, letters, strict=True) if name not in stored]
        if not new:
            return
        rows = pl.DataFrame(
            {
                "stream_offset": pl.Series([found.place for _, _, found in new], dtype=pl.Int64),
                "message_id": pl.Series([name for name, _, _ in new], dtype=pl.String),
                "topic": pl.Series([_text(part) for _, part, _ in new], dtype=pl.String),
                "reason": pl.Series([_text(found.reason) for _, _, found in new], dtype=pl.String),
                "payload": pl.Series([found.payload for _, _, found in new], dtype=pl.Binary),
            }
        ).with_columns(
            stream_batch=pl.lit(0, pl.Int64),
            stream_source=pl.lit(_text(self._source)),
            stream_partition=pl.lit(0, pl.Int32),
            stream_row=pl.lit(0, pl.Int32),
            arrived_at=pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC")),
        )
        table.append(rows.select(LETTER.names).to_arrow(compat_level=pl.CompatLevel.oldest()), {}, {})


def _id(source: str, part: str, letter: UnreadPiece) -> str:
    text = "\0".join((source, part, str(letter.place), letter.reason)).encode(errors="surrogatepass")
    return blake2b(text + b"\0" + letter.payload, digest_size=16).hexdigest()


def _text(text: str) -> str:
    """The text without lone surrogates, which names of files can have and tables cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
