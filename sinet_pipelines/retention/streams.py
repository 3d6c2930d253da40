"""Rows of streams that have landed: they are rows of drops since then, and their copies in `landed_stream` go by age.

Rows that have not landed, dead letters, and the offsets of a stream stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import polars as pl
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.ingestion.streams.stream_tables import LANDED, LANDED_STREAM
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.plan import Thing
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.delta import open_table

_FACTS = ("size_bytes", "min.stream_batch", "max.stream_batch", "min.arrived_at", "max.arrived_at")
_INSTANT = pl.Datetime("us", "UTC")


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
    """The last of the batches that all landed and arrived before a time, bytes of their rows, the newest arrival.

    A file that also has newer rows, as compaction makes them, counts by its rows and by days: it is written again once
    a day at most.
    """
    uri, opened = _open(place, application)
    none = 0, 0, before
    if opened is None:
        return none
    files = pl.DataFrame(opened.get_add_actions(flatten=True))
    if not files.height or not set(_FACTS).issubset(files.columns):
        return none  # without statistics the batches of a file are not known
    rows = files.select(_FACTS).filter(pl.col("max.stream_batch").is_not_null())  # a commit without rows has no file
    landed, day = _landed(opened), datetime.combine(before.astimezone(UTC).date(), time(), tzinfo=UTC)
    is_old, begins_old = _is_old("max.", landed, before), _is_old("min.", landed, day)
    old, mixed = rows.filter(is_old), rows.filter(~is_old & begins_old)
    young = rows.filter(~is_old & ~begins_old)
    parts = [_batches(old, "max.", is_old=True), _batches(young, "min.", is_old=False)]
    if mixed.height:
        parts.append(_batches_within(uri, opened, mixed, _is_old("", landed, day)))
    found = pl.concat(parts)
    limit = found.filter(~pl.col("is_old"))["batch"].min()
    going = found.filter(pl.col("is_old") & (pl.lit(value=True) if limit is None else pl.col("batch") < limit))
    if not going.height:
        return none
    newest = going["arrived_at"].max()
    return int(going["batch"].max()), int(going["size"].sum()), newest.astimezone(UTC)  # type: ignore[arg-type, union-attr]


def _is_old(prefix: str, landed: int, before: datetime) -> pl.Expr:
    """Whether a batch has landed and arrived before a time; `prefix` is that of the two columns."""
    arrived = pl.col(f"{prefix}arrived_at").cast(_INSTANT)
    return ((pl.col(f"{prefix}stream_batch") <= landed) & (arrived < before)).fill_null(value=False)


def _batches(files: pl.DataFrame, prefix: str, *, is_old: bool) -> pl.DataFrame:
    """The last batch of each old file, or the first one of each young file."""
    return files.select(
        batch=pl.col(f"{prefix}stream_batch").cast(pl.Int64),
        arrived_at=pl.col("max.arrived_at").cast(_INSTANT),
        size=pl.col("size_bytes").cast(pl.Int64),
        is_old=pl.lit(is_old),
    )


def _batches_within(uri: str, opened: DeltaTable, files: pl.DataFrame, is_old: pl.Expr) -> pl.DataFrame:
    """Each batch between the first and the last one of some files, with its share of their bytes."""
    batch = pc.field("stream_batch")
    first, last = files["min.stream_batch"].min(), files["max.stream_batch"].max()
    try:
        dataset = opened.to_pyarrow_dataset()
        columns = ["stream_batch", "arrived_at"]
        read = pl.DataFrame(dataset.to_table(columns=columns, filter=(batch >= first) & (batch <= last)))
    except (DeltaError, OSError) as error:
        raise StorageError(f"rows of {uri} were not read: {first_line(error)}; try again") from error
    share = int(files["size_bytes"].sum()) / max(read.height, 1)
    by_batch = read.group_by("stream_batch").agg(pl.col("arrived_at").max(), rows=pl.len())
    return by_batch.select(
        batch=pl.col("stream_batch").cast(pl.Int64),
        arrived_at=pl.col("arrived_at").cast(_INSTANT),
        size=(pl.col("rows") * share).cast(pl.Int64),
        is_old=is_old,
    )


def _landed(opened: DeltaTable) -> int:
    found = opened.transaction_version(LANDED)
    return 0 if found is None else int(found)


def _open(place: Place, application: str) -> tuple[str, DeltaTable | None]:
    store = place.tables(application)
    uri = store.uri(LANDED_STREAM)
    return uri, open_table(uri, store.storage_options)
