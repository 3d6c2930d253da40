"""What an application is: one use case end to end, as a value that is passed to the platform.

The platform names no application: all that it needs of an application is an attribute here, with types of the
packages that use it. Only this module makes and parses asset keys.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sinet_pipelines.applications.rules import DayRule
from sinet_pipelines.deployment.served_model import ServedModel
from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.nearest import PastFailures
from sinet_pipelines.ingestion.delivery import Source
from sinet_pipelines.ingestion.landed import LandedData
from sinet_pipelines.models.model import Family
from sinet_pipelines.models.task import Task
from sinet_pipelines.monitoring.input_drift import Watched
from sinet_pipelines.monitoring.publication import Digest
from sinet_pipelines.schemas.arrival import ARRIVALS_SUFFIX, HISTORY_SUFFIX, table_beside
from sinet_pipelines.schemas.contract import Contract, DataClass

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")  # part of keys, folders, tables and names of models
Path = tuple[str, ...]


@dataclass(frozen=True)
class AssetName:
    """An asset's key in parts.

    Attributes:
        application: name of the application.
        name: name of the asset within the application.
        region: region of the asset; None for an asset that exists once.
    """

    application: str
    name: str
    region: str | None = None

    @property
    def path(self) -> Path:
        """The key: `(EAST, turbofan, raw_telemetry)` or `(turbofan, training_set)`."""
        return (self.region, self.application, self.name) if self.region else (self.application, self.name)

    def __str__(self) -> str:
        return "/".join(self.path)


def parse_key(path: Iterable[str]) -> AssetName:
    """The parts of an asset's key.

    Raises:
        ContractError: the parts are not those of an asset's key.

    >>> parse_key(("EAST", "turbofan", "raw_telemetry")).application
    'turbofan'
    """
    parts = tuple(path)
    if len(parts) == 2:
        return AssetName(*parts)
    if len(parts) == 3:
        return AssetName(parts[1], parts[2], parts[0])
    raise ContractError(f"{'/'.join(parts)!r} is no asset key (allowed: REGION/application/name or application/name)")


@dataclass(frozen=True)
class Application:
    """One use case end to end.

    Attributes:
        name: used in keys, folders and names of models: lower-case letters, digits and _.
        title: what it predicts for which object, for pages and cards.
        owner: owner of its assets in Dagster's form: `team:predictive-maintenance`.
        tables: contracts of all tables that it writes.
        output: name of the predicted quantity; part of the model's name.
        rules: by name, how days of its assets depend on others where no rule of the platform applies.
        task: what its model has to do; None where it has no model yet.
        candidates: families that compete to be the champion, in the order of the pages.
        baselines: families with which every candidate is compared.
        served: the form of requests to its endpoint; None where nothing is served.
        watched: the features that are monitored for drift; None where none are.
        digests: digests of its rows that each region publishes for these rules; their tables are among `tables`.
        landed: the data that it lands in the regions; None for an application that lands nothing.
        source: where its data come from; None for an application whose data others land.
        keeps_versions: contracts of tables of features whose former rows are kept, as those of validated rows are.
        past_failures: how the past failures most similar to a unit are found; None where they are not.
    """

    name: str
    title: str
    owner: str
    tables: tuple[Contract, ...]
    output: str
    rules: Mapping[str, DayRule] = field(default_factory=dict)
    task: Task | None = None
    candidates: tuple[Family, ...] = ()
    baselines: tuple[Family, ...] = ()
    served: ServedModel | None = None
    watched: Watched | None = None
    digests: tuple[Digest, ...] = ()
    landed: LandedData | None = None
    source: Source | None = None
    keeps_versions: tuple[Contract, ...] = ()
    past_failures: PastFailures | None = None

    def __post_init__(self) -> None:
        for word in (self.name, self.output):
            if not _NAME.fullmatch(word):
                raise ContractError(
                    f"{word[:60]!r} cannot be the name of an application or of what it predicts (allowed: at most 40 "
                    "lower-case letters, digits and _, a letter first); rename it"
                )
        names = [table.name for table in self.tables]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ContractError(f"application {self.name} has two tables named {', '.join(twice)}; rename one")
        self._check_families()
        if self.landed is not None and self.landed.application != self.name:
            raise ContractError(f"application {self.name} lands {self.landed.application!r}; give it drops of its own")
        for table in self.tables:
            if table_beside(table.name) != table.name:
                raise ContractError(
                    f"table {table.name} of application {self.name} has the name of a table of versions beside another "
                    f"one (reserved endings: {ARRIVALS_SUFFIX}, {HISTORY_SUFFIX}); rename it"
                )
            if not isinstance(table.data_class, DataClass):
                raise ContractError(f"table {table.name} of application {self.name} has no data class; give it one")
        self._check_landed()
        self._check_digests()
        self._check_task()

    def _check_landed(self) -> None:
        if self.landed is None:
            if self.source is not None:
                raise ContractError(f"application {self.name} has a source and lands nothing; give it `landed` as well")
            return
        landed = (*self.landed.tables.written, self.landed.raw, *(kind.contract for kind in self.landed.events))
        if missing := [table.name for table in landed if table not in self.tables]:
            raise ContractError(
                f"application {self.name} lands {', '.join(missing)} and has no such table (has: "
                f"{', '.join(table.name for table in self.tables)}); add the contract to `tables`"
            )

    def _check_digests(self) -> None:
        for one in (digest.contract for digest in self.digests):
            if one.data_class is not DataClass.FEATURE or one not in self.tables:
                raise ContractError(
                    f"digest {one.name} of application {self.name} is of class {one.data_class} (allowed: feature, and "
                    "among its tables); state its class and add it to `tables`"
                )

    def _check_task(self) -> None:
        if self.task is None:
            return
        if self.served is not None and self.served.task != self.task:
            raise ContractError(
                f"application {self.name} is served for {self.served.task.target} and its task is {self.task.target}; "
                "give both the same task"
            )
        needed = (self.task.target, self.task.group, self.task.order, *self.task.feature_names)
        lacking = {
            table.name: [name for name in needed if name not in {column.name for column in table.columns}]
            for table in self.tables
        }
        if self.task.target in set.intersection(*map(set, lacking.values()), {*needed}):
            raise ContractError(
                f"no table of application {self.name} has the target {self.task.target} (tables: "
                f"{', '.join(lacking)}); add the column to its training set, or name another target"
            )
        nearest = min(lacking, key=lambda name: len(lacking[name]))
        if lacking[nearest]:
            raise ContractError(
                f"no table of application {self.name} can teach {self.task.target}: {nearest} lacks "
                f"{', '.join(lacking[nearest][:5])} (needed: target, group, order and features in one table); add them"
            )

    def _check_families(self) -> None:
        names = [family.name for family in (*self.candidates, *self.baselines)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ContractError(f"application {self.name} has two families named {', '.join(twice)}; rename one")
        if names and self.task is None:
            raise ContractError(f"application {self.name} has families and no task; state what they predict")
        for family in (*self.candidates, *self.baselines):
            if self.task is not None and self.task.kind not in family.kinds:
                raise ContractError(
                    f"family {family.name} of application {self.name} cannot be fitted to a {self.task.kind} "
                    f"(allowed: {', '.join(family.kinds)}); take another family"
                )

    @property
    def versioned(self) -> tuple[Contract, ...]:
        """Contracts of the tables that can be read as known at an instant."""
        return (*((self.landed.validated,) if self.landed is not None else ()), *self.keeps_versions)

    @property
    def families(self) -> Mapping[str, Family]:
        """Candidates and baselines by name."""
        return {family.name: family for family in (*self.candidates, *self.baselines)}

    @property
    def data(self) -> LandedData:
        """The data that it lands.

        Raises:
            ContractError: it lands nothing.
        """
        if self.landed is None:
            raise ContractError(f"application {self.name} lands nothing; give it `landed`")
        return self.landed

    def require_task(self) -> Task:
        """What its model has to do.

        Raises:
            ContractError: it has no model.
        """
        if self.task is None:
            raise ContractError(f"application {self.name} has no model (needed: `task`); state what it predicts")
        return self.task

    def require_served(self) -> ServedModel:
        """The form of requests to its endpoint.

        Raises:
            ContractError: it has no endpoint.
        """
        if self.served is None:
            raise ContractError(f"application {self.name} has no endpoint (needed: `served`); state its inputs")
        return self.served

    @property
    def model(self) -> str:
        """Name of its model in the registry and of its endpoint: `turbofan_remaining_useful_life`."""
        return f"{self.name}_{self.output}"

    def key(self, name: str, *, region: str | None = None) -> Path:
        """The path of an asset's key; only this function makes it.

        Args:
            name: name of the asset.
            region: name of the asset's region; None for an asset that exists once.
        """
        return AssetName(self.name, name, region).path

    def table(self, name: str) -> Contract:
        """The contract of a table.

        Raises:
            ContractError: the application has no such table.
        """
        for contract in self.tables:
            if contract.name == name:
                return contract
        known = ", ".join(contract.name for contract in self.tables)
        raise ContractError(f"application {self.name} has no table {name!r} (known: {known}); add its contract")


def by_name(applications: Iterable[Application]) -> Mapping[str, Application]:
    """The applications of a deployment by name.

    Raises:
        ContractError: two applications have the same name or the same table.
    """
    found: dict[str, Application] = {}
    for one in applications:
        if one.name in found:
            raise ContractError(f"two applications are named {one.name!r}; rename one")
        for other in found.values():
            _require_apart(one, other)
        found[one.name] = one
    return found


def _require_apart(one: Application, other: Application) -> None:
    """Rejects a table of two applications: the same contract, or a table name that agreements of regions list."""
    for table in one.tables:
        if table in other.tables:
            raise ContractError(
                f"applications {other.name} and {one.name} have one table {table.name} (the same contract); give each "
                "a contract of its own, with a description of its rows"
            )
        if table.data_class is DataClass.SEQUENCE and table.name in {own.name for own in other.tables}:
            raise ContractError(
                f"applications {other.name} and {one.name} have a table {table.name} of class sequence, and an "
                "agreement names a table; rename one"
            )
