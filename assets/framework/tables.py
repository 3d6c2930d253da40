"""A table without days, computed in one region from whole tables of that region."""

from collections.abc import Callable, Sequence

import dagster as dg
import polars as pl

from assets.framework.lineage import copied, joined
from assets.framework.regional import here
from assets.framework.reports import entries_of, made
from assets.framework.training_sets import read_at_versions, training_set_entry
from resources.keys import Cadence
from resources.placement import bind
from sinet_pipelines.applications.application import Application
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Contract


def table_of(
    application: Application,
    region: Region,
    contract: Contract,
    *,
    of: Sequence[Contract],
    compute: Callable[..., pl.DataFrame],
    cadence: Cadence,
) -> dg.AssetsDefinition:
    """The asset of a table that exists once and is replaced completely.

    Args:
        application: the application of the table.
        region: the region that computes and stores it.
        contract: of the table.
        of: contracts of the tables it is computed from, of the same application and region.
        compute: from these tables, in their order, to rows with at least the columns of the contract; a function at
            the top of a module, so that its code is part of the asset's version.
        cadence: when it is made.
    """
    keys = {one.name: dg.AssetKey(application.key(one.name, region=region.name)) for one in of}
    origins = tuple(of)

    @dg.asset(
        key=dg.AssetKey(application.key(contract.name, region=region.name)),
        deps=list(keys.values()),
        description=contract.description,
        metadata=entries_of(
            contract,
            sources=joined(*(copied(contract, of=one, keys=[keys[one.name]]) for one in of)),
        ),
        **bind(region, cadence=cadence, data_class=contract.data_class, kinds={"deltalake"}),
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tables = here(context, region).tables

        def read() -> pl.DataFrame:
            return compute(*(tables.read(one) for one in origins)).select(contract.schema.names)

        if cadence is not Cadence.TRAINING:
            return made(context, tables.replace(contract, read()))
        rows, versions = read_at_versions(context, read, tables=origins, regions=[region])
        written = tables.replace(contract, rows)
        entry = training_set_entry(context, written, contract, region=region, read=versions, of=origins)
        return made(context, written, entries=entry)

    return asset
