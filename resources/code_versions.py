"""The code version of each asset, derived: a hash of the code that its function runs and of the contracts it names.

Counted is what decides the content of a table or model. Where it runs, how it is stored, reported and drawn does not
count; nor do descriptions. Contracts count by columns, types, units, bounds and keys.
"""

import sys
from dataclasses import fields
from enum import Enum
from functools import cache
from pathlib import Path

import dagster as dg
import orjson

from resources.settings import settings
from sinet_pipelines.code_hash import SourceTree, from_json, to_json
from sinet_pipelines.errors import StorageError
from sinet_pipelines.schemas.contract import Column, Contract
from sinet_pipelines.storage.files import write_whole

PACKAGES = ("assets", "sinet_pipelines")
CACHE_FILE = "cache/code_versions.json"  # in a home: analysed modules by the hash of their text

#: What an asset's function refers to and what decides none of its content.
EXCLUDED = (
    # how assets are declared, bound, recorded and shown
    *(f"assets.{name}" for name in ("binding", "checks", "days", "lineage", "pictures", "regional", "reports")),
    # where it runs and where things are kept
    *(f"sinet_pipelines.{name}" for name in ("cli", "deployment", "placement", "regions", "sites", "registry_file")),
    *(f"sinet_pipelines.{name}" for name in ("hardware", "pictures", "errors")),
    # how tables and blobs are written; not how their content is hashed, which decides the versions of what they hold
    *(f"sinet_pipelines.storage.{name}" for name in ("aside", "blobs", "cache", "databases", "delta", "delta_log")),
    *(f"sinet_pipelines.storage.{name}" for name in ("evolution", "files", "health", "layout", "locks", "tables")),
    # contracts count by their values
    "sinet_pipelines.schemas.contract",
    # runs and versions, which record what was made
    "sinet_pipelines.registry.tracking",
    "sinet_pipelines.registry.versions",
    "sinet_pipelines.registry.runs",
    "sinet_pipelines.registry.catalogue",
)

#: Library code that a step reaches through a resource and that decides what the step reads.
BEHIND = {
    "landing.read_day": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.read_faults": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.read_events": "sinet_pipelines.ingestion.landing.LandingZone",
    "landing.sort_day": "sinet_pipelines.ingestion.landing.LandingZone",
    **{f"tables.{name}": "sinet_pipelines.storage.content" for name in ("replace", "replace_days", "replace_day_from")},
    "feature_store.repository": "sinet_pipelines.features.repository.FeatureRepository",
}


def with_code_version(asset: dg.AssetsDefinition | dg.AssetSpec) -> dg.AssetsDefinition | dg.AssetSpec:
    """The asset with its derived code version, where a function makes it."""
    if not isinstance(asset, dg.AssetsDefinition) or not asset.is_executable:
        return asset
    version = _tree(settings().home).hash_of(asset.op.compute_fn.decorated_fn)  # type: ignore[union-attr]
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(code_version=version))


def code_of(context: dg.AssetExecutionContext) -> str:
    """The code version of the asset that is being made."""
    return context.assets_def.code_versions_by_key[context.asset_key] or ""


def keep_analysis(home: Path) -> None:
    """Keeps the analysis of changed modules for the next process; a home that cannot be written keeps none."""
    tree = _tree(home)
    if not tree.is_changed or not home.is_dir():
        return
    try:
        write_whole(home / CACHE_FILE, to_json(tree.dump()))
    except StorageError:
        return  # on a full disk or in a pod's read-only home, the next process analyses again


def canonical(value: object) -> str | None:
    """The text of a value that counts by what it is: a contract, a column, a series of these, an enumeration's member.

    Descriptions do not count. None for everything else.
    """
    plain = _plain(value)
    return None if plain is None else orjson.dumps(plain).decode()


def _plain(value: object) -> object:
    if isinstance(value, Contract | Column):
        counted = [one.name for one in fields(value) if one.name != "description"]
        return {name: _part(getattr(value, name)) for name in counted}
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if type(value) in (tuple, list) and value and all(isinstance(one, Contract | Column) for one in value):  # type: ignore[attr-defined]
        return [_plain(one) for one in value]  # type: ignore[attr-defined]
    return None


def _part(value: object) -> object:
    """An attribute of a contract or column, as JSON has it."""
    if isinstance(value, tuple):
        return [_part(one) for one in value]
    if isinstance(value, Contract | Column):
        return _plain(value)
    return value if isinstance(value, int | float | str | None) else str(value)


@cache
def _tree(home: Path) -> SourceTree:
    """The first-party sources of this process."""
    packages = {name: Path(sys.modules[name].__path__[0]) for name in PACKAGES}
    kept = home / CACHE_FILE
    cache = from_json(kept.read_bytes()) if kept.is_file() else {}
    return SourceTree(
        packages, excluded=EXCLUDED, canonical=canonical, attributes=BEHIND, values=sys.modules, cache=cache
    )
