"""A home opened for reading: the tables of each application as frames, and its champion model."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.application import Application, by_name
from sinet_pipelines.errors import ModelNotFoundError, StorageError, UsageError
from sinet_pipelines.ingestion.record import has_record
from sinet_pipelines.inventory.regions import Inventory, this_inventory
from sinet_pipelines.notebook.champion import Champion
from sinet_pipelines.notebook.frames import ReadRows
from sinet_pipelines.registry.alias import named_by
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.layout import require_layout
from sinet_pipelines.storage.tables import TableStore, tables_of, to_contract
from sinet_pipelines.storage.versions import known_at, scan_versions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from sinet_pipelines.notebook.similar import SimilarFailures
    from sinet_pipelines.storage.training_sets import TrainingSet


@dataclass(frozen=True)
class Table:
    """One table of an application, in one region or in all regions that have it.

    Attributes:
        contract: columns with their units and bounds.
        regions: names of the regions of the rows.
        rows: the rows, which are not read yet.
    """

    contract: Contract
    regions: tuple[str, ...]
    rows: pl.LazyFrame

    def scan(self) -> pl.LazyFrame:
        """A lazy polars frame: only what a query needs is read."""
        return self.rows

    def to_polars(self) -> pl.DataFrame:
        """All rows as a polars frame."""
        return self.rows.collect()

    def to_arrow(self) -> "pa.Table":
        """All rows as an Arrow table with exactly the contract's columns and types."""
        return to_contract(self.to_polars(), self.contract)

    def to_pandas(self) -> "pd.DataFrame":
        """All rows as a pandas frame; days are `datetime.date`, lists are numpy arrays."""
        return self.to_arrow().to_pandas()


@dataclass(frozen=True)
class TrainingRows(ReadRows):
    """The rows of a training set with its record; their content hash is the recorded one.

    Attributes:
        record: name, Delta versions and feature definitions that made it.
    """

    record: "TrainingSet"


@dataclass(frozen=True)
class Home:
    """The state of one deployment.

    Attributes:
        folder: its folder.
        inventory: its regions.
    """

    folder: Path
    inventory: Inventory

    @property
    def applications(self) -> tuple[str, ...]:
        """Names of the applications."""
        return tuple(by_name(load_applications()))

    def tables(self, application: str) -> tuple[str, ...]:
        """Names of an application's tables that have rows in any region."""
        found = self._application(application)
        stores = [self._store(application, region) for region in self.inventory.names]
        return tuple(one.name for one in found.tables if any(store.exists(one) for store in stores))

    def table(
        self,
        application: str,
        name: str,
        *,
        region: str | None = None,
        days: tuple[date, date] | None = None,
        as_known_at: datetime | None = None,
    ) -> Table:
        """A table; no rows are read yet.

        Args:
            application: its name.
            name: name of the table.
            region: region of the rows; None for all regions that have the table.
            days: first and last `event_date`, both included; None for all.
            as_known_at: instant for which rows are read: without those that arrived later, and with those that were
                corrected or withdrawn later; UTC where it has no time zone. None for the present rows.

        Raises:
            UsageError: no such application, table or region, no run has made the table yet, or no former rows of the
                table are kept.
            StorageError: the table is damaged.
        """
        found = self._application(application)
        contract = _contract(found, name)
        if as_known_at is not None:
            _require_versions(found, contract)
        wanted = self.inventory.names if region is None else (self.inventory.region(region).name,)
        stores = {one: self._store(application, one) for one in wanted}
        made = {one: store for one, store in stores.items() if store.exists(contract)}
        if not made:
            there = ", ".join(self.tables(application)) or "none"
            where = f" in {region}" if region else ""
            raise UsageError(
                f"table {name} of {application} was not made{where} yet (made in {self.folder}: {there}); "
                "`sinet run` makes all, `sinet status` lists what is stale"
            )
        rows = pl.concat([_rows(store, contract, as_known_at) for store in made.values()])
        if days is not None:
            _require_days(contract)
            rows = rows.filter(pl.col("event_date").is_between(*days))
        return Table(contract, tuple(made), rows)

    def champion(self, application: str) -> Champion:
        """The application's champion as a function from a frame to predictions.

        Raises:
            UsageError: no such application.
            ModelNotFoundError: no version of its model can be served, with the reason.
            StorageError: the model's file is lost or changed.
        """
        found = self._application(application)
        named = named_by(self.folder, found.model)
        if named.reason:
            raise ModelNotFoundError(named.reason)
        from sinet_pipelines.registry.tracking import tracking_of
        from sinet_pipelines.registry.version_files import load_artifact
        from sinet_pipelines.registry.versions import get_version

        assert named.version is not None  # an alias without a version has a reason
        tracking = tracking_of(self.folder)
        version = get_version(tracking, found.model, named.version)
        return Champion(found.model, version.version, load_artifact(tracking, version), found.tables)

    def similar_failures(self, application: str, unit: str, *, count: int = 10) -> "SimilarFailures":
        """The past failures, of all regions, that are most similar to a unit at its newest window.

        Args:
            application: its name.
            unit: name of the unit.
            count: number of failures, 1 or more.

        Raises:
            UsageError: no such application, it declares no past failures, or the unit has no window to search with.
            StorageError: a table of the windows is damaged.
        """
        from sinet_pipelines.notebook.similar import FailureSearch

        search = FailureSearch(self.folder, self._application(application), self.inventory.names)
        return search.similar_to(unit, count=count)

    def training_set(self, named: str) -> TrainingRows:
        """The training set of a version of a model, as it was when the version was trained.

        Args:
            named: `MODEL@VERSION` or `MODEL@ALIAS`: `turbofan_remaining_useful_life@3`.

        Raises:
            UsageError: the name has another form, or no training set of the version was recorded.
            ModelNotFoundError: there is no such version.
            StorageError: the rows were removed or changed, with what to do.
        """
        from sinet_pipelines.registry.provenance import origin_named
        from sinet_pipelines.storage.training_sets import read_training_set

        origin = origin_named(self.folder, named)
        contents = origin.training_sets or self._sets_of_candidates(origin.runs)
        faults = []
        for region in self.inventory.names:
            try:
                found = next(self._recorded(region, contents), None)
            except StorageError as error:  # the set may be in another region
                faults.append(f"{region}: {error}")
                continue
            if found is not None:
                rows = read_training_set(self._store(found.application, region), found)
                return TrainingRows(found.as_of(origin.trained_at), rows=rows)
        if faults:
            raise StorageError(f"the training set of {origin.name} was not found, and {'; '.join(faults)}")
        read = ", ".join(contents) or "none"
        raise UsageError(
            f"no training set of {origin.name} is recorded (its run read {read}): an earlier release trained it, or it "
            "was registered by hand; train again to record one"
        )

    def _recorded(self, region: str, contents: Collection[str]) -> "Iterator[TrainingSet]":
        from sinet_pipelines.storage.blobs import blobs_of
        from sinet_pipelines.storage.training_sets import training_sets_with

        yield from training_sets_with(blobs_of(self.folder, region), contents)

    def _sets_of_candidates(self, runs: Collection[str]) -> tuple[str, ...]:
        """The training sets of the candidates of some runs, whose own tags are lost with MLflow's former database."""
        from sinet_pipelines.retention.blob_links import links_of
        from sinet_pipelines.storage.blobs import blobs_of

        found: dict[str, None] = {}
        for region in self.inventory.names:
            try:
                blobs = blobs_of(self.folder, region)
                names = [one.key.rpartition("/")[2] for one in blobs.entries()]
                links = links_of(self.folder, blobs, names).values()
            except StorageError:
                continue  # `training_set` names this region's fault where it finds the set nowhere
            found |= dict.fromkeys(one.training_set for one in links if one.training_set and one.run_id in runs)
        return tuple(found)

    def _application(self, name: str) -> Application:
        known = by_name(load_applications())
        if name not in known:
            raise UsageError(f"no application {name!r} (known: {', '.join(known)}); name one of those")
        return known[name]

    def _store(self, application: str, region: str) -> TableStore:
        return tables_of(self.folder, region, application)


def open_home(folder: str | Path) -> Home:
    """Opens the home of a deployment: `.sinet/simulated`, or `.sinet/current` for that of the last run.

    Raises:
        UsageError: the folder has no runs.
        StorageError: a version with another layout made the home.
    """
    home = Path(folder).expanduser().resolve()
    require_layout(home)
    if not has_record(home):
        state = "holds no data yet" if home.is_dir() else "is not there"
        raise UsageError(f"the home {home} {state}; `sinet run` makes one at .sinet/simulated in the checkout")
    return Home(home, this_inventory())


def _contract(application: Application, name: str) -> Contract:
    known = {one.name: one for one in application.tables}
    if name not in known:
        raise UsageError(
            f"application {application.name} has no table {name!r} (known: {', '.join(known)}); name one of those"
        )
    return known[name]


def _rows(store: TableStore, contract: Contract, as_known_at: datetime | None) -> pl.LazyFrame:
    if as_known_at is None:
        return store.scan(contract)
    instant = as_known_at.replace(tzinfo=UTC) if as_known_at.tzinfo is None else as_known_at.astimezone(UTC)
    return known_at(scan_versions(store, contract), instant)


def _require_versions(application: Application, contract: Contract) -> None:
    allowed = [one.name for one in application.versioned]
    if contract.name not in allowed:
        raise UsageError(
            f"table {contract.name} of {application.name} has only its present rows (allowed with as_known_at: "
            f"{', '.join(allowed) or 'none'}); leave as_known_at out"
        )


def _require_days(contract: Contract) -> None:
    if "event_date" not in {column.name for column in contract.columns}:
        raise UsageError(f"table {contract.name} has no days (no column event_date); leave `days` out")
