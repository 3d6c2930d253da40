"""Old files of tables, and earlier training sets: what is there, what the newest versions need, and how they go.

The files of a recorded training set belong to that set and go with it; all other files that a table's log removed are
things of their own.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sinet_pipelines.errors import StorageError
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.plan import Thing
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage.delta import TableFiles, table_files
from sinet_pipelines.storage.objects import Object
from sinet_pipelines.storage.training_sets import TrainingSet, mark_removed, training_set_of, training_sets

REOPEN_S = 1.0  # age from which a table is opened again before one of its files goes


@dataclass(frozen=True)
class Tables:
    """The tables of one region.

    Attributes:
        place: the region.
        files: old files, by the name of their thing.
        sets: recorded training sets that can be read, by the name of their thing.
        newest: names of the sets that are the newest version of their table, or whose table cannot be read.
        sizes: bytes of the files of each set that its table's newest version does not have.
        notes: sentences on tables that could not be read.
        reopened: the active files of each table that was opened again for a removal, and when.
    """

    place: Place
    files: Mapping[str, Thing] = field(default_factory=dict)
    sets: Mapping[str, TrainingSet] = field(default_factory=dict)
    newest: frozenset[str] = frozenset()
    sizes: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    reopened: dict[tuple[str, TableName], tuple[float, frozenset[str]]] = field(default_factory=dict)

    def things(self) -> Iterator[Thing]:
        """Old files and training sets."""
        yield from self.files.values()
        for name, one in self.sets.items():
            yield Thing(Kind.TRAINING_SETS, name, self.sizes[name], datetime.fromisoformat(one.made_at))

    def remove(self, thing: Thing) -> bool:
        """Removes an old file, or a training set with its files; returns whether there was something to remove.

        Raises:
            StorageError: it cannot be removed.
        """
        if thing.kind is Kind.TRAINING_SETS:
            return self._remove_set(self.sets[thing.name])
        key = thing.name.removeprefix(f"{self.place.region}/")
        data_class, application, table, path = key.split("/", 3)
        if path in self._active_now(application, TableName(table, DataClass(data_class))):
            return False  # the table was restored to an earlier version
        return _remove_file(self.place, key)

    def _active_now(self, application: str, table: TableName) -> frozenset[str]:
        """The active files of a table, read again after at most a second."""
        at, found = self.reopened.get((application, table), (-REOPEN_S, frozenset()))
        if time.monotonic() - at > REOPEN_S:
            at, found = time.monotonic(), _files_of(self.place, application, table).active
            self.reopened[application, table] = at, found
        return found

    def _remove_set(self, found: TrainingSet) -> bool:
        """Marks the set as removed, then removes its files: after a kill in between, the next plan removes the rest."""
        active = _files_of(self.place, found.application, found.place).active
        blobs = self.place.blobs(found.application)
        now = training_set_of(blobs, found.table, found.content)
        if now != found or active.issuperset(found.files):
            return False  # it was made again
        others = [one for one in training_sets(blobs) if one.table == found.table and one.content != found.content]
        needed = {path for one in others if not one.removed_at for path in one.files}
        mark_removed(blobs, found)
        for path in sorted(set(found.files) - active - needed):
            _remove_file(self.place, f"{_folder(found.application, found.place)}/{path}")
        return True


def tables_of_place(place: Place, *, keep: timedelta, now: datetime) -> Tables:
    """The old files and the training sets of a region.

    Args:
        place: the region.
        keep: how long files stay after a table's log removed them.
        now: UTC.

    Raises:
        StorageError: its store does not respond, or a record of a training set is damaged.
    """
    recorded = list(training_sets(place.blobs()))
    kept = {f"{place.region}/{one.name}": one for one in recorded if not one.removed_at}
    files: dict[str, Thing] = {}
    active: dict[tuple[str, TableName], frozenset[str]] = {}
    notes: list[str] = []
    for application, table in place.table_names():
        try:
            found = _files_of(place, application, table, hours=-(-int(keep.total_seconds()) // 3600))
        except StorageError as error:  # damaged, or moved meanwhile: `sinet run` reports and repairs it
            notes.append(f"nothing of {place.region}/{application}/{table.name} goes: {error}")
            continue
        active[application, table] = found.active
        of_table = [one for one in recorded if (one.application, one.place) == (application, table)]
        folder = _folder(application, table)
        unneeded = _unneeded(found, of_table, keep=keep, now=now)
        look = _listed(place, folder) if unneeded and not place.is_local else partial(_own_file, place)
        for path, since in unneeded.items():
            there = look(f"{folder}/{path}")
            if there is not None:
                thing = Thing(Kind.TABLE_FILES, f"{place.region}/{folder}/{path}", there.size, since)
                files[thing.name] = thing
    return Tables(
        place,
        files,
        kept,
        newest=frozenset(name for name, one in kept.items() if _active(active, one).issuperset(one.files)),
        sizes={
            name: sum(size for path, size in one.files.items() if path not in _active(active, one))
            for name, one in kept.items()
        },
        notes=notes,
    )


def _unneeded(
    found: TableFiles, recorded: Sequence[TrainingSet], *, keep: timedelta, now: datetime
) -> dict[str, datetime]:
    """The files that neither the newest version nor a training set has, each with the time since which that is so."""
    since = {path: now - keep if path in found.old else now for path in found.removed}
    since |= {path: datetime.fromisoformat(one.removed_at) for one in recorded if one.removed_at for path in one.files}
    needed = {path for one in recorded if not one.removed_at for path in one.files}
    return {path: since[path] for path in sorted(set(since) - needed - found.active)}


def _active(active: Mapping[tuple[str, TableName], frozenset[str]], found: TrainingSet) -> frozenset[str]:
    """The active files of the set's table; all files of the set where the table cannot be read."""
    return active.get((found.application, found.place), frozenset(found.files))


def _files_of(place: Place, application: str, table: TableName, *, hours: int = 0) -> TableFiles:
    store = place.tables(application)
    return table_files(store.uri(table), store.storage_options, keep_hours=hours)


def _listed(place: Place, folder: str) -> Callable[[str], Object | None]:
    """A look at the files of a table on a store by one listing; most files that its log removed are gone."""
    return {one.key: one for one in place.objects.walk(folder)}.get


def _own_file(place: Place, key: str) -> Object | None:
    """A file below the root of a region; None where there is none, or a link that a person put in its place."""
    return None if place.is_link(key) else place.objects.stat(key)


def _remove_file(place: Place, key: str) -> bool:
    if _own_file(place, key) is None:
        return False
    place.objects.delete(key)
    return True


def _folder(application: str, table: TableName) -> str:
    return f"{table.data_class}/{application}/{table.name}"
