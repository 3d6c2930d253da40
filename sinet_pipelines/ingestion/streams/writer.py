"""Stores batches and lands their rows in a thread of its own, one batch at a time, while the next one is read.

Dead letters are committed first, then the rows together with the offsets. Small files are merged in another thread:
they are millions of rows on a fast stream, and rows that arrived meanwhile must not wait for them.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType

from sinet_pipelines.errors import StorageError, UnreachableError
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.ingestion.streams.batch import Batch
from sinet_pipelines.ingestion.streams.drops_of_streams import land_stored
from sinet_pipelines.ingestion.streams.stream_tables import StreamTables


@dataclass(frozen=True)
class Written:
    """What one task of the writer did.

    Attributes:
        batch: the batch that is stored now; None for a landing.
        dead_letters: how many of its messages have no rows.
        drops: files written into the landing zone.
    """

    batch: Batch | None
    dead_letters: int
    drops: int


class Writer:
    """Writes the tables of one source. It is a context, which ends when all that it began is complete.

    Args:
        tables: the tables; while a task is in progress, only the writer uses them.
        zone: the landing zones of the application.
        region: region of the rows.
        source: name of the source.
        land_s: seconds between two landings of stored rows as drops.
        compact_batches: batches between two compactions.

    Attributes:
        unstored: number of messages of the batch that is being stored.
        unmerged: why the last merge of small files failed; the next one, which follows some batches later, merges them.
    """

    def __init__(
        self, tables: StreamTables, *, zone: LandingZone, region: str, source: str, land_s: float, compact_batches: int
    ) -> None:
        self._tables, self._zone, self._region, self._source = tables, zone, region, source
        self._land_s, self._compact_batches = land_s, compact_batches
        self._landed_at, self._batches = time.monotonic(), 0
        self._task: Future[Written] | None = None
        self._compaction: Future[int] | None = None
        self.unstored, self.unmerged = 0, ""

    def __enter__(self) -> "Writer":
        self._thread = ThreadPoolExecutor(1, "stream-writes")
        self._compacting = ThreadPoolExecutor(1, "stream-compacts")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        self._compacting.shutdown()
        self._note_compaction()

    @property
    def is_busy(self) -> bool:
        """Whether a task is in progress, or its result was not taken yet."""
        return self._task is not None

    @property
    def is_landing_due(self) -> bool:
        """Whether the last landing is long enough ago; only without a task."""
        return time.monotonic() - self._landed_at >= self._land_s

    def store(self, batch: Batch) -> None:
        """Begins to store a batch whose messages are decoded."""
        self.unstored = batch.messages
        self._begin(lambda: self._store(batch))

    def land(self) -> None:
        """Begins to land all stored rows."""
        self._begin(lambda: Written(None, 0, self._land()))

    def result(self, *, wait_s: float | None = None) -> Written | None:
        """What the task in progress did; None where there is none, or where it takes longer.

        Args:
            wait_s: seconds to wait for its end; None for no limit.

        Raises:
            BusyError: another process appends to the tables.
            StorageError: a table or a drop cannot be written, also because its store does not answer.
        """
        if self._task is None or not wait([self._task], wait_s).done:
            return None
        task, self._task, self.unstored = self._task, None, 0
        try:
            return task.result()
        except UnreachableError as error:  # of the store; callers wait for a broker, and the batch is lost to them
            raise StorageError(str(error)) from error

    def wait(self) -> None:
        """Waits for the task in progress, whose result can be taken later."""
        if self._task is not None:
            wait([self._task])

    def _begin(self, task: Callable[[], Written]) -> None:
        assert self._task is None
        self._task = self._thread.submit(task)

    def _store(self, batch: Batch) -> Written:
        letters = batch.dead_letters(self._source)
        if letters.height:
            self._tables.store_dead(letters, self._source, batch.ranges)
        self._tables.store_rows(batch.stored_rows(self._source), self._source, batch.ranges, batch.sent_ms)
        self._batches += 1
        if self._batches % self._compact_batches == 0:
            self._compact()
        return Written(batch, letters.height, 0)

    def _land(self) -> int:
        drops = len(land_stored(self._tables, self._zone, self._region))
        self._landed_at = time.monotonic()
        return drops

    def _compact(self) -> None:
        self._note_compaction()
        if self._compaction is None:
            self._compaction = self._compacting.submit(self._tables.compact)

    def _note_compaction(self) -> None:
        """Takes the result of a merge that is complete; reading goes on without it."""
        if self._compaction is None or not self._compaction.done():
            return
        task, self._compaction = self._compaction, None
        try:
            task.result()
            self.unmerged = ""
        except StorageError as error:
            self.unmerged = f"small files are not merged: {error}"
