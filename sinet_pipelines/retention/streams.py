"""Rows of streams that have landed: they are rows of drops since then, and their copies in `landed_stream` go by age.

Rows that have not landed, dead letters, and the offsets of a stream stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.ingestion.streams.stream_tables import LANDED, LANDED_STREAM
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.plan import Thing
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.delta import open_table

_FACTS = ("size_bytes", "min.stream_batch", "max.stream_batch", "max.arrived_at")


@dataclass(frozen=True)
class Streams:
    """The landed rows of a region's streams.

    Attributes:
        place: the region.
        found: the application and the last batch that goes, by the name of their thing.
        listed: the things.
        notes: sentences on tables that could not be read.
    """

    place: Place
    found: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    listed: Sequence[Thing] = ()
    notes: Sequence[str] = ()

    def things(self) -> Iterator[Thing]:
        """Old landed rows, one thing for each table."""
        yield from self.listed

    def remove(self, thing: Thing) -> bool:
        """Deletes the rows in one commit; their files go later, as files of an earlier version.

        Raises:
            StorageError: the table cannot be read or written.
        """
        application, batch = self.found[thing.name]
        uri, opened = _open(self.place, application)
        if opened is None or _landed(opened) < batch:
            return False  # the table was restored, or made again
        before_commit()
        try:
            opened.delete(f"stream_batch <= {batch}")
        except (DeltaError, OSError) as error:
            raise StorageError(f"rows of {uri} were not deleted: {first_line(error)}; try again") from error
        return True


def streams_of_place(place: Place, applications: Sequence[str], *, keep: timedelta, now: datetime) -> Streams:
    """The landed rows of a region that arrived before a time.

    Args:
        place: the region.
        applications: those with tables of class `raw` there.
        keep: how long rows stay after their arrival.
        now: UTC.
    """
    found: dict[str, tuple[str, int]] = {}
    listed: list[Thing] = []
    notes: list[str] = []
    for application in applications:
        try:
            batch, size, newest = _old_batches(place, application, before=now - keep)
        except StorageError as error:
            notes.append(f"nothing of {place.region}/{application}/{LANDED_STREAM.name} goes: {error}")
            continue
        if batch > 0:
            name = f"{place.region}/{application}/{LANDED_STREAM.name} to batch {batch}"
            found[name] = application, batch
            listed.append(Thing(Kind.STREAM_ROWS, name, size, newest))
    return Streams(place, found, tuple(listed), tuple(notes))


def _old_batches(place: Place, application: str, *, before: datetime) -> tuple[int, int, datetime]:
    """The last of the batches that all landed and arrived before a time, bytes of their files, the newest arrival."""
    _, opened = _open(place, application)
    none = 0, 0, before
    if opened is None:
        return none
    files = pl.DataFrame(opened.get_add_actions(flatten=True))
    if not files.height or not set(_FACTS).issubset(files.columns):
        return none  # without statistics the batches of a file are not known
    rows = files.select(_FACTS).filter(pl.col("max.stream_batch").is_not_null())  # a commit without rows has no file
    arrived = pl.col("max.arrived_at").cast(pl.Datetime("us", "UTC"))
    is_old = (pl.col("max.stream_batch") <= _landed(opened)) & (arrived < before)
    young = rows.filter(~is_old.fill_null(value=False))
    limit = young["min.stream_batch"].min() if young.height else None
    old = rows.filter(is_old & ((pl.col("max.stream_batch") < limit) if limit is not None else pl.lit(value=True)))
    if not old.height:
        return none
    newest = old.select(arrived.max()).item()
    return int(old["max.stream_batch"].max()), int(old["size_bytes"].sum()), newest.astimezone(UTC)  # type: ignore[arg-type]


def _landed(opened: DeltaTable) -> int:
    found = opened.transaction_version(LANDED)
    return 0 if found is None else int(found)


def _open(place: Place, application: str) -> tuple[str, DeltaTable | None]:
    store = place.tables(application)
    uri = store.uri(LANDED_STREAM)
    return uri, open_table(uri, store.storage_options)
