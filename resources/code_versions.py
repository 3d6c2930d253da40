"""Derives the code version of each asset: a hash of the code that its function runs and of the contracts it names.

The hash includes everything that decides the content of a table or model. It excludes where the asset runs, how it is
stored, reported and drawn, and descriptions. Contracts count by columns, types, units, bounds and keys.
"""

import sys
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import dagster as dg
import orjson

from sinet_pipelines.applications import NAMES
from sinet_pipelines.code_hash import SourceTree, from_json, to_json
from sinet_pipelines.errors import StorageError
from sinet_pipelines.ingestion.landed import EventKind, LandedData
from sinet_pipelines.inventory.time_series import StoreAddress
from sinet_pipelines.models.task import Metric, Task
from sinet_pipelines.monitoring.input_drift import Watched
from sinet_pipelines.schemas.contract import Beside, Column, Contract, Validated
from sinet_pipelines.storage.files import write_whole

PACKAGES = ("assets", "sinet_pipelines")
CACHE_FILE = "code_versions.json"  # analysed modules by the hash of their text

#: Modules to which an asset's function refers but which do not decide its content.
EXCLUDED = (
    # declaration, binding, records and display of assets
    *(
        f"assets.framework.{name}"
        for name in ("binding", "checks", "data_docs", "days", "lineage", "pictures", "regional", "reports")
    ),
    "assets.framework.training_sets",
    # pages about checked rows, and the library that confirms the check
    *(f"sinet_pipelines.validation.{name}" for name in ("data_docs", "expectations", "sample")),
    *(f"assets.{name}.{module}" for name in NAMES for module in ("keys", "lineage")),
    # places of execution and storage
    *(f"sinet_pipelines.{name}" for name in ("cli", "deployment", "placement", "inventory")),
    *(f"sinet_pipelines.{name}" for name in ("pictures", "errors")),
    *(f"sinet_pipelines.features.{name}" for name in ("in_parts", "dask_task", "dask_tls", "dask_workers")),
    # writing of tables and blobs; not the hashing of their content, which decides versions
    *(f"sinet_pipelines.storage.{name}" for name in ("aside", "blobs", "cache", "databases", "delta", "delta_log")),
    *(f"sinet_pipelines.storage.{name}" for name in ("contracted", "streamed", "table_writes")),
    *(f"sinet_pipelines.storage.{name}" for name in ("evolution", "files", "health", "layout", "locks", "tables")),
    *(f"sinet_pipelines.storage.{name}" for name in ("credentials", "roots", "stored_health", "training_sets")),
    # contracts, which count by their values
    "sinet_pipelines.schemas.contract",
    "sinet_pipelines.training.array_cache",
    # runs and versions, which record what was made
    "sinet_pipelines.registry.tracking",
    "sinet_pipelines.registry.version",
    "sinet_pipelines.registry.version_files",
    "sinet_pipelines.registry.versions",
    "sinet_pipelines.registry.runs",
    "sinet_pipelines.registry.catalogue",
)

#: Library code that a step calls through a resource and that decides what the step reads.
BEHIND = {
    "landing.read_day": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.faults": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.read_faults": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.read_events": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.sort_day": "sinet_pipelines.ingestion.landing.LandingZone",
    **{f"tables.{name}": "sinet_pipelines.storage.content" for name in ("replace", "replace_days", "replace_day_from")},
    "feature_store.repository": "sinet_pipelines.features.repository.FeatureRepository",
}


COUNTED = (
    Contract,
    Column,
    Beside,
    Validated,
    EventKind,
    LandedData,
    StoreAddress,
)  # objects to which an asset's function refers and which count by their values


@dataclass(frozen=True)
class CodeVersions:
    """The code versions of the assets of a deployment.

    Attributes:
        home: where the analysis of modules is kept if the folder of the sources cannot be written.
    """

    home: Path

    def version_of(self, asset: dg.AssetsDefinition | dg.AssetSpec) -> str | None:
        """The asset's derived code version; None where no function makes it."""
        if not isinstance(asset, dg.AssetsDefinition) or not asset.is_materializable:
            return None
        return self._tree.hash_of(asset.op.compute_fn.decorated_fn)  # type: ignore[union-attr]

    def keep(self) -> None:
        """Keeps the analysis of changed modules for the next process, of any home.

        Where neither the sources' folder nor the home can be written, the next process analyses again.
        """
        if not self._tree.is_changed:
            return
        content = to_json(self._tree.dump())
        for place in self._places[1:] if sys.dont_write_bytecode else self._places:
            try:
                write_whole(place, content)
            except StorageError:
                continue  # of another user, on a full disk or in a pod's read-only file system
            return

    @cached_property
    def _tree(self) -> SourceTree:
        """The first-party sources of this process."""
        return SourceTree(
            {name: Path(sys.modules[name].__path__[0]) for name in PACKAGES},
            excluded=EXCLUDED,
            canonical=canonical,
            attributes=BEHIND,
            values=sys.modules,
            is_behaviour=_is_behaviour,
            cache={key: one for place in self._places for key, one in _kept(place).items()},
        )

    @property
    def _places(self) -> list[Path]:
        """Where the analysis is kept: beside the bytecode of the sources, else in the home."""
        beside = Path(cache_from_source(str(Path(__file__).resolve()))).with_name(CACHE_FILE)
        return [beside, *([self.home / "cache" / CACHE_FILE] if self.home.is_dir() else [])]


def _kept(place: Path) -> dict[str, Any]:
    """The analysis that was kept there; empty where there is none, where it is damaged or of another user."""
    try:
        return from_json(place.read_bytes())
    except OSError:
        return {}


def code_of(context: dg.AssetExecutionContext) -> str:
    """The code version of the asset in progress."""
    return context.assets_def.code_versions_by_key[context.asset_key] or ""


def canonical(value: object) -> str | None:
    """The text of a value that counts by its value: a contract, a column, a sequence of these, a member of an enum.

    Descriptions do not count. None for every other value.
    """
    plain = _plain(value)
    return None if plain is None else orjson.dumps(plain).decode()


def _plain(value: object) -> object:
    if isinstance(value, COUNTED):
        counted = [one.name for one in fields(value) if one.name != "description"]
        return {name: _part(getattr(value, name)) for name in counted}
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if type(value) in (tuple, list) and value and all(isinstance(one, COUNTED) for one in value):  # type: ignore[attr-defined]
        return [_plain(one) for one in value]  # type: ignore[attr-defined]
    return None


def _part(value: object) -> object:
    """An attribute of a contract or column in JSON form."""
    if isinstance(value, tuple):
        return [_part(one) for one in value]
    if isinstance(value, COUNTED):
        return _plain(value)
    return value if isinstance(value, int | float | str | None) else str(value)


def _is_behaviour(value: object) -> bool:
    """Whether a value is a task, a metric, a family or a `Watched`: these count by their settings and their code."""
    return isinstance(value, Task | Metric | Watched) or (is_dataclass(value) and callable(getattr(value, "fit", None)))
