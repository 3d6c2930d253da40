"""Lists everything in a home that may be removed, and everything that is needed, in one look."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.retention.blobs import NEWEST, Blobs, blobs_of_places
from sinet_pipelines.retention.mlflow_files import MlflowFiles, mlflow_files
from sinet_pipelines.retention.models import Models, models_of
from sinet_pipelines.retention.owner import why_held
from sinet_pipelines.retention.places import Place, places_of
from sinet_pipelines.retention.plan import Needs, Thing
from sinet_pipelines.retention.policy import MARGIN, OBSERVED, Kind, Policy
from sinet_pipelines.retention.runs import EventLog, Outputs, needs_of, outputs_of, runs_of_open_backfills, things_of
from sinet_pipelines.retention.streams import Streams, streams_of_place
from sinet_pipelines.retention.tables import Tables, tables_of_place
from sinet_pipelines.schemas.contract import DataClass

Remove = Callable[[Thing], bool]
_UNCERTAIN = (*OBSERVED, Kind.RUNS)  # kinds that stay where needs could not be read


@dataclass(frozen=True)
class Survey:
    """What is in a home, and what is needed.

    Attributes:
        things: what may be removed.
        needs: what is needed.
        removers: for each thing's key, what removes it; for runs there is none.
        notes: sentences on what could not be read.
        again: reads the needs again that other processes change meanwhile: registered versions, endpoints, backfills.
    """

    things: Sequence[Thing] = ()
    needs: Needs = field(default_factory=Needs)
    removers: Mapping[str, Remove] = field(default_factory=dict)
    notes: Sequence[str] = ()
    again: Callable[[], Needs] = Needs


def survey(home: Path, regions: Iterable[str], *, log: EventLog | None, policy: Policy, now: datetime) -> Survey:
    """One look at a home. Where something that may need things cannot be read, these things stay.

    Args:
        home: the home.
        regions: names of its regions.
        log: what the event log holds; None where it is not read, so that only table files and outputs go.
        policy: how long table files are kept.
        now: UTC.
    """
    look = _Look(home, tuple(places_of(home, regions)), log, policy, now)
    models = look.models()
    found = _Found(look.blobs(), look.tables(), look.streams(), mlflow_files(home, models.runs), outputs_of(home))
    needs = look.needs(found, models)
    removers = {thing.key: (thing, remove) for things, remove in found.sources() for thing in things}

    def again() -> Needs:
        later = _Look(home, look.places, log, policy, now)
        return later.needs(found, later.models())

    return Survey(
        things=[*(thing for thing, _ in removers.values()), *things_of(log or EventLog())],
        needs=needs,
        removers={key: remove for key, (_, remove) in removers.items()},
        notes=[*look.notes, *(note for one in found.of_regions for note in one.notes)],
        again=again,
    )


@dataclass(frozen=True)
class _Found:
    """Everything that was found in a home, by kind."""

    blobs: Blobs
    tables: Sequence[Tables]
    streams: Sequence[Streams]
    files: MlflowFiles
    outputs: Outputs

    @property
    def of_regions(self) -> list[Tables | Streams]:
        """Tables and streams of all regions."""
        return [*self.tables, *self.streams]

    def sources(self) -> Iterator[tuple[Iterable[Thing], Remove]]:
        """The things of each kind with what removes one."""
        yield self.blobs.things(), self.blobs.remove
        yield self.files.things(), self.files.remove
        yield self.outputs.things(), self.outputs.remove
        for one in self.of_regions:
            yield one.things(), one.remove


@dataclass
class _Look:
    """One look; what cannot be read holds the kinds that it may need."""

    home: Path
    places: tuple[Place, ...]
    log: EventLog | None
    policy: Policy
    now: datetime
    notes: list[str] = field(default_factory=list)
    held: dict[Kind, str] = field(default_factory=dict)
    unread: frozenset[Kind] = frozenset()

    def __post_init__(self) -> None:
        if self.log is None:
            self._hold("the event log was not read")
            self.unread |= frozenset(_UNCERTAIN)
        elif self.log.in_progress:
            self._hold(f"run {self.log.in_progress[0][:8]} is in progress", kinds=OBSERVED)

    def needs(self, found: _Found, models: Models) -> Needs:
        """What is needed of the things that were found."""
        backfills, log = self.backfills(), self.log or EventLog()
        of_blobs = found.blobs.needs(models.needs, log.blobs)
        by_name: dict[Kind, Mapping[str, Sequence[str]]] = {
            Kind.BLOBS: {one.name: of_blobs.get(one.name.partition("/")[2], ()) for one in found.blobs.things()},
            Kind.TRAINING_SETS: _needs_of_sets(found.tables, models, found.blobs, of_blobs),
            Kind.MLFLOW_FILES: _needs_of_files(found.files.needs(models.needs), found.blobs, of_blobs),
            Kind.RUNS: needs_of(log, models.needs, backfills, newest_runs=self.policy.newest_runs),
            Kind.OUTPUT: {**dict.fromkeys(log.in_progress, ("run in progress",)), **backfills},
        }
        by_thing = {f"{kind}:{name}": why for kind, of in by_name.items() for name, why in of.items()}
        return Needs(by_thing, self.held, self.regions_held(), self.unread)

    def regions_held(self) -> dict[str, str]:
        """Why nothing of a region may go from this home, by region."""
        found = {}
        for place in self.places:
            try:
                if why := why_held(place):
                    found[place.region] = f"{place.region} may serve another home"
                    self.notes.append(why)
            except StorageError as error:
                found[place.region] = f"the root of {place.region} could not be read"
                self.notes.append(f"the root of {place.region} could not be read: {error}")
        return found

    def models(self) -> Models:
        try:
            return models_of(self.home)
        except StorageError as error:
            self._unread("MLflow's registry", error)
            return Models()

    def backfills(self) -> dict[str, list[str]]:
        try:
            return runs_of_open_backfills(self.home)
        except StorageError as error:
            self._unread("a journal of a backfill", error)
            self.held.setdefault(Kind.OUTPUT, "a journal of a backfill could not be read")
            return {}

    def blobs(self) -> Blobs:
        try:
            return blobs_of_places(self.places)
        except StorageError as error:
            self._unread("the blobs of a region", error)
            return Blobs()

    def tables(self) -> list[Tables]:
        keep, found = self.policy.period(Kind.TABLE_FILES), []
        if self.log is not None and self.log.oldest_start is not None:
            keep = max(keep, self.now - self.log.oldest_start + MARGIN)
        for place in self.places:
            try:
                found.append(tables_of_place(place, keep=keep, now=self.now))
            except StorageError as error:
                self._unread(f"the tables of {place.region}", error)
        return found

    def streams(self) -> list[Streams]:
        found, keep = [], self.policy.period(Kind.STREAM_ROWS)
        for place in self.places:
            try:
                applications = place.objects.children(DataClass.RAW).folders
                found.append(streams_of_place(place, applications, keep=keep, now=self.now))
            except StorageError as error:
                self.notes.append(f"the streams of {place.region} could not be read: {error}")
        return found

    def _unread(self, what: str, error: StorageError) -> None:
        self.notes.append(f"{what} could not be read: {error}")
        self._hold(f"{what} could not be read")
        self.unread |= frozenset(_UNCERTAIN)

    def _hold(self, why: str, *, kinds: Iterable[Kind] = _UNCERTAIN) -> None:
        for kind in kinds:
            self.held.setdefault(kind, why)


def _needs_of_sets(
    tables: Iterable[Tables], models: Models, blobs: Blobs, of_blobs: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """What needs each training set: versions and endpoints, candidates that are needed, and the newest state."""
    by_content: dict[str, list[str]] = {}
    for need in models.needs:
        for content in need.training_sets:
            by_content.setdefault(content, []).append(need.by)
    for name, links in blobs.links.items():
        if links.training_set and of_blobs.get(name):
            by_content.setdefault(links.training_set, []).extend(of_blobs[name])
    found = {}
    for one in tables:
        for name, recorded in one.sets.items():
            reasons = [*by_content.get(recorded.content, ()), *([NEWEST] if name in one.newest else [])]
            found[name] = tuple(dict.fromkeys(reasons))
    return found


def _needs_of_files(
    by_model: Mapping[str, Sequence[str]], blobs: Blobs, of_blobs: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """What needs the files of MLflow's runs: versions, endpoints, and candidates that are needed."""
    by_run: dict[str, Sequence[str]] = {
        links.run_id: of_blobs[name] for name, links in blobs.links.items() if links.run_id and of_blobs.get(name)
    }
    return {
        name: tuple(dict.fromkeys([*reasons, *by_run.get(name.partition("/")[0], ())]))
        for name, reasons in by_model.items()
    }
