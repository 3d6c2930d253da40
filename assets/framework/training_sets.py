"""Records training sets: the Delta versions and feature definitions that made each, under the name of its content."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.regional import here
from resources.code_versions import canonical
from sinet_pipelines.errors import ConflictError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import Written
from sinet_pipelines.storage.training_sets import keep_training_set, record_of

ENTRY = "training_set"  # metadata of the materialisation
READS = 3  # attempts to read tables between two of their commits


def read_at_versions(
    context: dg.AssetExecutionContext,
    read: Callable[[], pl.DataFrame],
    *,
    tables: Sequence[Contract],
    regions: Sequence[Region],
) -> tuple[pl.DataFrame, dict[str, int]]:
    """What `read` returns, and the Delta version of each table that it read, by `REGION/application/table`.

    Args:
        context: of the step.
        read: reads the tables; called again where another writer changed one of them meanwhile.
        tables: contracts of the tables.
        regions: of the tables; a region without a table has no version of it.

    Raises:
        ConflictError: the tables changed during each attempt.
    """
    for _ in range(READS):
        before = _versions(context, tables, regions)
        rows = read()
        if _versions(context, tables, regions) == before:
            return rows, before
    raise ConflictError(
        f"other writers changed the tables of {context.asset_key.to_user_string()} during each of {READS} reads; "
        "run it again when they have finished"
    )


def training_set_entry(
    context: dg.AssetExecutionContext,
    written: Written,
    contract: Contract,
    *,
    region: Region | str,
    read: Mapping[str, int],
    of: Sequence[Contract],
) -> dict[str, Any]:
    """Records the set that was written; returns the entry with its name for the page of the materialisation.

    Args:
        context: of the step.
        written: result of the write of the whole table.
        contract: of the table.
        region: of the table.
        read: versions of the tables it was made from.
        of: contracts of these tables.
    """
    place = here(context, region)
    name = region if isinstance(region, str) else region.name
    features = feature_definitions(context, [contract, *of])
    found = record_of(place.tables, contract, written, region=name, tables=read, features=features)
    keep_training_set(place.blobs, found)
    facts = {"name": found.name, "version": found.version, "features": features, "tables": dict(found.tables)}
    return {ENTRY: dg.MetadataValue.json(facts)}


def feature_definitions(context: dg.AssetExecutionContext, contracts: Sequence[Contract]) -> str:
    """The hash of what defines the features: the contracts, and the code that makes the asset and its upstreams."""
    graph = context.job_def.asset_layer.asset_graph
    keys = sorted(
        {context.asset_key, *(dep.asset_key for dep in context.assets_def.specs_by_key[context.asset_key].deps)}
    )
    codes = (f"{key.to_user_string()} {graph.get(key).code_version}" for key in keys)
    return fingerprint(*(canonical(one) for one in contracts), *codes)


def _versions(
    context: dg.AssetExecutionContext, tables: Sequence[Contract], regions: Sequence[Region]
) -> dict[str, int]:
    found = {}
    for region in regions:
        store = here(context, region).tables
        for table in tables:
            version = store.version(table)
            if version is not None:
                found[f"{region.name}/{store.application}/{table.name}"] = version
    return found
