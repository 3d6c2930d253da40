"""Names every training set by its content, records the Delta versions that made it, and reads its rows again later.

A record is a blob with a ref `training_sets/<table>/v<content hash>` among the blobs of the table's region. It lists
the data files of the set, so that the rows can be read after the log of the table has dropped their version.
"""

import glob
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from sinet_pipelines.errors import AbsentError, ForbiddenError, StorageError, UnreachableError
from sinet_pipelines.schemas.contract import Column, Contract, DataClass, TableName
from sinet_pipelines.storage.aside import ASIDE
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.content import content_hash
from sinet_pipelines.storage.delta import read_files, store_error
from sinet_pipelines.storage.layout import is_local
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.tables import TableStore, Written

REFS = "training_sets"  # folder of the refs of one application
_MAKING = ("version", "tables", "features", "made_at")  # what each making records


@dataclass(frozen=True)
class TrainingSet:
    """The record of one training set.

    Attributes:
        application: of the table.
        region: of the table.
        table: name of the table.
        data_class: of the table.
        content: content hash of the rows, 16 hex digits.
        version: Delta version of the table that has these rows.
        rows: number of rows.
        files: data files of that version, relative to the table, each with its size in bytes.
        columns: columns of the contract when the set was written, in order.
        order: columns that the rows are sorted by for their hash.
        tables: the Delta version of each table of its last making, by `REGION/application/table`.
        features: hash of the definitions of its features at the last making.
        made_at: UTC, to the second, of the last making.
        removed_at: UTC; empty while its files are kept.
        makings: `version`, `tables`, `features` and `made_at` of each making with equal rows, the first one first; one
            whose tables and features are those of the making before adds nothing.
    """

    application: str
    region: str
    table: str
    data_class: str
    content: str
    version: int
    rows: int
    files: Mapping[str, int]
    columns: tuple[str, ...]
    order: tuple[str, ...]
    tables: Mapping[str, int] = field(default_factory=dict)
    features: str = ""
    made_at: str = ""
    removed_at: str = ""
    makings: tuple[Mapping[str, Any], ...] = ()

    def as_of(self, time: str) -> "TrainingSet":
        """The record with the sources of the last making until a time.

        Args:
            time: UTC in ISO form: the time at which a model was trained on these rows.
        """
        until = [one for one in self.makings if one["made_at"] <= time]
        return replace(self, **{name: until[-1][name] for name in _MAKING}) if until else self

    @property
    def name(self) -> str:
        """Its name: `turbofan/training_set/3fa9c0d2b1e48877`."""
        return f"{self.application}/{self.table}/{self.content}"

    @property
    def place(self) -> TableName:
        """Its table."""
        return TableName(self.table, DataClass(self.data_class))


def record_of(
    store: TableStore,
    contract: Contract,
    written: Written,
    *,
    region: str,
    tables: Mapping[str, int],
    features: str,
) -> TrainingSet:
    """The record of a set that was just written as the whole table.

    Args:
        store: with the table.
        contract: of the table.
        written: result of the write.
        region: of the store.
        tables: Delta versions of the tables it was made from.
        features: hash of the definitions of its features.

    Raises:
        StorageError: the version cannot be read.
    """
    return TrainingSet(
        application=store.application,
        region=region,
        table=contract.name,
        data_class=str(contract.data_class),
        content=written.data_versions[None],
        version=written.version,
        rows=written.rows,
        files=files_of_version(written.uri, written.version, store.storage_options),
        columns=tuple(contract.schema.names),
        order=contract.order,
        tables=dict(sorted(tables.items())),
        features=features,
        made_at=_now(),
    )


def keep_training_set(blobs: BlobStore, found: TrainingSet) -> str:
    """Stores the record; one of the same rows is replaced, and its makings are kept. Returns the name of the blob.

    Args:
        blobs: of the region and the application of the set.
        found: the record.
    """
    try:
        former = training_set_of(blobs, found.table, found.content)
    except (UnreachableError, ForbiddenError):
        raise
    except StorageError:
        former = None  # missing or damaged: this record takes its place
    found = replace(found, makings=_makings(former, found))
    name = blobs.put(json.dumps(asdict(found), sort_keys=True).encode())
    blobs.point(ref_of(found.table, found.content), name)
    return name


def _makings(former: TrainingSet | None, found: TrainingSet) -> tuple[Mapping[str, Any], ...]:
    """The makings of the former record, and the new one where its tables or features are others."""
    if former is None:
        return (_making(found),)
    known = former.makings or (_making(former),)
    is_same = (known[-1]["tables"], known[-1]["features"]) == (dict(found.tables), found.features)
    return known if is_same else (*known, _making(found))


def _making(found: TrainingSet) -> dict[str, Any]:
    return {name: asdict(found)[name] for name in _MAKING}


def mark_removed(blobs: BlobStore, found: TrainingSet) -> TrainingSet:
    """Records that the files of the set go now; from then on it cannot be read."""
    marked = replace(found, removed_at=_now())
    keep_training_set(blobs, marked)
    return marked


def ref_of(table: str, content: str) -> str:
    """The ref of a training set's record."""
    return f"{REFS}/{table}/v{content}"


def training_sets(blobs: BlobStore) -> Iterator[TrainingSet]:
    """All recorded sets among the blobs of a region, of one application or, without one, of all.

    Raises:
        StorageError: a record is missing or damaged.
    """
    for ref, name in blobs.refs().items():
        if f"/{REFS}/" in f"/{ref}":
            yield _parsed(blobs.get(name), where=f"{ref} in {blobs.place}")


def training_sets_with(blobs: BlobStore, contents: Collection[str]) -> Iterator[TrainingSet]:
    """The recorded sets with one of these content hashes; other records are not read.

    Raises:
        StorageError: a record with this content is missing or damaged, or the store does not respond.
    """
    for ref, name in blobs.refs().items():
        if f"/{REFS}/" in f"/{ref}" and ref.rpartition("/v")[2] in contents:
            yield _parsed(blobs.get(name), where=f"{ref} in {blobs.place}")


def training_set_of(blobs: BlobStore, table: str, content: str) -> TrainingSet | None:
    """The record of this content; None where none was written."""
    name = blobs.resolve(ref_of(table, content))
    return None if name is None else _parsed(blobs.get(name), where=ref_of(table, content))


def read_training_set(store: TableStore, found: TrainingSet) -> pl.DataFrame:
    """The rows of the set, with the columns that it had and the recorded content hash.

    Raises:
        StorageError: its files were removed or changed.
    """
    if found.removed_at:
        raise StorageError(
            f"the rows of {found.name} were removed at {found.removed_at}, when no registered model, endpoint or "
            "candidate needed them; restore a backup from before (`sinet restore`), or train again"
        )
    uri = store.uri(found.place)
    lost = list(missing_files(uri, found, store.storage_options))
    aside = next((one for one in _set_aside(uri) if not list(missing_files(one, found, {}))), None) if lost else None
    if aside is not None:
        uri = aside
    elif lost:
        raise StorageError(
            f"{len(lost)} of {len(found.files)} files of {found.name} are missing or have another size, "
            f"{uri}/{lost[0]} first; restore a backup (`sinet restore`), or train again"
        )
    try:
        rows = read_files(uri, list(found.files), store.storage_options).select(found.columns).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        if not is_local(uri):
            raise store_error(uri, error) from error
        raise StorageError(f"{found.name} cannot be read: {error}; restore a backup, or train again") from error
    content = content_hash(rows, _contract_of(found, rows))
    if content != found.content:
        raise StorageError(
            f"the files of {found.name} have the content {content} (recorded: {found.content}): they were changed; "
            "restore a backup (`sinet restore`), or train again"
        )
    return rows


def _set_aside(uri: str) -> Iterator[str]:
    """The folders to which a damaged table was moved with its files, the newest first."""
    if is_local(uri):
        table = Path(uri)
        folders = (table.parent / ASIDE).glob(f"{glob.escape(table.name)}-*")
        yield from (str(one) for one in sorted(folders, key=lambda one: one.stat().st_mtime, reverse=True))


def missing_files(uri: str, found: TrainingSet, options: Mapping[str, str]) -> Iterator[str]:
    """Files of the set that storage lacks or has with another size."""
    objects = open_objects(uri, options)
    for path, size in found.files.items():
        there = objects.stat(path)
        if there is None or there.size != size:
            yield path


def files_of_version(uri: str, version: int, options: Mapping[str, str]) -> dict[str, int]:
    """The data files of one version of a table, relative to the table, each with its size in bytes.

    Raises:
        StorageError: the log no longer has this version.
    """
    try:
        opened = DeltaTable(uri, version=version, storage_options=dict(options) or None)
        added = pa.table(opened.get_add_actions(flatten=True)).to_pydict()
    except (DeltaError, OSError) as error:
        if not is_local(uri):
            raise store_error(uri, error) from error
        raise StorageError(f"version {version} of {uri} cannot be read: {error}; make the table again") from error
    return {unquote(path): size for path, size in zip(added["path"], added["size_bytes"], strict=True)}


def _contract_of(found: TrainingSet, rows: pl.DataFrame) -> Contract:
    """A contract with the columns that the set had, by which its content is hashed."""
    schema = rows.to_arrow().schema
    columns = tuple(Column(name, schema.field(name).type, "") for name in found.columns)
    return Contract(found.table, "", DataClass(found.data_class), columns, found.order)


def _parsed(content: bytes, *, where: str) -> TrainingSet:
    try:
        plain = json.loads(content)
        lists = {name: tuple(plain.get(name, ())) for name in ("columns", "order", "makings")}
        return TrainingSet(**{**plain, **lists})
    except (ValueError, TypeError, KeyError) as error:
        raise AbsentError(f"{where} is no record of a training set ({error}); train again") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
