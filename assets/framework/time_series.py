"""Tables in a time-series store: the rows of a region's tables, sent as line protocol to the store in its row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.framework.days import close, days_of, in_batches, partitions_of, record, record_gaps, record_quiet
from assets.framework.regional import Made, here
from assets.framework.reports import made
from resources.code_versions import code_of
from resources.deployment import Deployment, deployment_of
from resources.feature_store import FEATURE_STORE
from resources.keys import Cadence
from resources.markdown import shown
from resources.materializations.inputs import same_day_inputs
from resources.materializations.versions import INPUTS_TAG, VERSION_TAG, days_made
from resources.placement import REGION_TAG, bind
from resources.regions import RegionResource
from resources.residency import TABLE, today
from sinet_pipelines.applications import NAMES
from sinet_pipelines.applications.application import Application
from sinet_pipelines.errors import InventoryError, StorageError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.time_series import StoreAddress, TimeSeries
from sinet_pipelines.markdown import points
from sinet_pipelines.placement.residency import Crossing, require_allowed
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.contracted import as_contracted
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.tables import TableStore, Written

if TYPE_CHECKING:
    from sinet_pipelines.time_series.sending import Sent

NO_ROWS = "the table has no rows of this day"
BEING_SENT = "being_sent"  # in place of the inputs of a day, so that it is stale
COMPARED, UNCOUNTED = "as many as were sent", "not compared: the store cannot count"


def time_series_of(
    application: Application, deployment: Deployment, others: Sequence[tuple[str, Made]]
) -> Iterator[tuple[str, dg.AssetsDefinition]]:
    """The assets of an application's tables in the time-series stores of the regions, each with its stage.

    Args:
        application: the application.
        deployment: whose regions name stores and tables.
        others: the other assets of the application, each with its stage.

    Raises:
        InventoryError: a row names a table that no asset makes in the region, or whose rows have no instant.
        ResidencyError: a store in another region may not get a table.
    """
    for region in deployment.regions:
        if region.time_series is None:
            continue
        if strangers := [name for name in region.time_series.tables if name.partition("/")[0] not in NAMES]:
            raise InventoryError(
                f"time_series of {region.name} names {strangers[0]}, of no application (known: {', '.join(NAMES)}); "
                "correct the name"
            )
        tables = _tables_in(region, others)
        for name in region.time_series.tables_of(application.name):
            if name not in tables:
                raise InventoryError(
                    f"time_series of {region.name} names {application.name}/{name}, which no asset makes there (known: "
                    f"{', '.join(tables)}); correct the name"
                )
            stage, spec = tables[name]
            yield stage, _in_store(application, deployment, region, application.table(name), region.time_series, spec)


def _tables_in(region: Region, others: Iterable[tuple[str, Made]]) -> dict[str, tuple[str, dg.AssetSpec]]:
    """The tables that assets make in a region, each with its stage and its spec."""
    found = {}
    for stage, one in others:
        specs = (
            [one] if isinstance(one, dg.AssetSpec) else [] if isinstance(one, dg.AssetChecksDefinition) else one.specs
        )
        for spec in specs:
            if TABLE in spec.metadata and spec.tags.get(REGION_TAG) == region.name:
                found[str(spec.metadata[TABLE])] = stage, spec
    return found


def _in_store(
    application: Application,
    deployment: Deployment,
    region: Region,
    contract: Contract,
    settings: TimeSeries,
    table: dg.AssetSpec,
) -> dg.AssetsDefinition:
    from sinet_pipelines.time_series.lines import shape_of

    name = f"{contract.name}_in_time_series"
    edge = Crossing(
        "/".join(application.key(name, region=region.name)),
        contract.name,
        contract.data_class,
        region.name,
        settings.in_region or region.name,
    )
    regions = {one.name: one for one in deployment.regions}
    require_allowed([edge], regions=regions, day=today())
    has_days = table.partitions_def is not None
    if has_days != shape_of(application.name, contract, region=region.name).has_days:
        raise InventoryError(
            f"time_series of {region.name} names {application.name}/{contract.name}, which has days and is made as a "
            "whole; name another table"
        )
    step = _days_step if has_days else _whole_step
    days: dict[str, Any] = {
        "partitions_def": partitions_of(deployment, application),
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "output_required": False,
    }
    return dg.asset(
        key=dg.AssetKey(application.key(name, region=region.name)),
        deps=[table.key],
        description=f"Rows of {contract.name} in the time-series store of {region.name} (kind {settings.kind}).\n\n"
        "A row that changes or comes late is sent again with its day. A line that the store rejects is set aside and "
        "counted.",
        **(days if has_days else {}),
        **bind(
            region,
            cadence=Cadence.FOLLOW,
            inputs="same_day" if has_days else "",
            data_class=contract.data_class,
            kinds={"influxdb"},
        ),
    )(step(application, region, contract, settings.address, edge))


def _days_step(
    application: Application, region: Region, contract: Contract, address: StoreAddress, edge: Crossing
) -> Any:
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        from sinet_pipelines.time_series.lines import shape_of
        from sinet_pipelines.time_series.sending import remove_day, send_days
        from sinet_pipelines.time_series.stores import open_store

        inputs = same_day_inputs(context, code_version=code_of(context))
        place = here(context, region)
        store = open_store(region.name, _settings(context, region, address, edge))
        shape = shape_of(application.name, contract, region=region.name, home=_sender(place))
        store.flush()
        days, held = days_of(context, region), place.tables.days(contract)
        before = days_made(context.instance, context.asset_key)
        for day in days.quiet:
            remove_day(store, shape, day)
        yield from record_quiet(context, region, days.quiet, tables=[])
        finished: list[date] = []
        failed: dict[date, str] = {}
        for chunk in in_batches(place.landing, region.name, days.landed):
            gaps = [day for day in chunk if day not in held or day not in inputs]
            for day in gaps:
                remove_day(store, shape, day)
            yield from record_gaps(context, region, dict.fromkeys(gaps, NO_ROWS), tables=[])
            rows = {day: partial(_rows, place.tables, contract, day, shape.columns) for day in chunk if day not in gaps}
            yield from being_sent(context.asset_key, {day: inputs[day] for day in rows}, before=before)
            sent, faults = send_days(store, shape, rows)
            failed |= faults
            finished += sent
            yield from record(
                context,
                _written(place.tables, contract, store.name, sent, inputs),
                inputs=inputs,
                entries={day: _entries(one, COMPARED if store.counts else UNCOUNTED) for day, one in sent.items()},
            )
        if failed:
            listed = "; ".join(f"{day}: {why}" for day, why in sorted(failed.items())[:3])
            raise StorageError(
                f"{len(failed)} days are not in the time-series store ({listed}); correct that and run again"
            )
        yield from close(context, region, made=finished)

    return asset


def being_sent(
    key: dg.AssetKey, inputs: Mapping[date, str], *, before: Mapping[date, Mapping[str, str]]
) -> Iterator[dg.AssetMaterialization]:
    """An event for each day that was made from the same inputs; without it, such a day counts as made while it is sent.

    A step that fails or is killed after it removed rows of these days leaves them stale, so the next run sends them.

    Args:
        key: of the asset.
        inputs: of the days that are sent next.
        before: tags of the newest materialisation of each day.
    """
    for day in sorted(day for day, one in inputs.items() if before.get(day, {}).get(INPUTS_TAG) == one):
        yield dg.AssetMaterialization(
            key,
            partition=day.isoformat(),
            description="Its rows are removed from the store and sent again.",
            tags={
                VERSION_TAG: fingerprint(BEING_SENT, inputs[day]),
                "dagster/data_version_is_user_provided": "true",
                INPUTS_TAG: BEING_SENT,
            },
        )


def _whole_step(
    application: Application, region: Region, contract: Contract, address: StoreAddress, edge: Crossing
) -> Any:
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from sinet_pipelines.time_series.lines import shape_of
        from sinet_pipelines.time_series.sending import send_rows
        from sinet_pipelines.time_series.stores import open_store

        place = here(context, region)
        tables = place.tables
        store = open_store(region.name, _settings(context, region, address, edge))
        shape = shape_of(application.name, contract, region=region.name, home=_sender(place))
        rows = tables.read(contract, columns=shape.columns)
        sent = send_rows(store, shape, [rows])
        version = fingerprint(store.name, *map(str, rows.hash_rows(seed=0).sort().to_list()))
        return made(context, version, entries=_entries(sent, "not compared: earlier rows stay"))

    return asset


def _settings(context: dg.AssetExecutionContext, region: Region, address: StoreAddress, edge: Crossing) -> TimeSeries:
    """The settings of the region's store as this process loaded them, after a check of today's agreements.

    Raises:
        InventoryError: the store is another one than that of the definitions.
        ResidencyError: it may not get the table today.
    """
    deployment = deployment_of(context)
    found = deployment.region(region.name).time_series
    if found is None or found.address != address:
        raise InventoryError(
            f"time_series of {region.name} names another store than when the definitions were loaded; reload them, "
            "and run again"
        )
    require_allowed([edge], regions={one.name: one for one in deployment.regions}, day=today())
    return found


def _sender(place: RegionResource) -> str:
    from sinet_pipelines.features.home_id import sender_id

    home = Path(place.home)
    return sender_id(home, place.name, folder=home / FEATURE_STORE)


def _rows(tables: TableStore, contract: Contract, day: date, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The day's rows in batches; a nullable column that is newer than the table is null."""
    for rows in tables.read_in_batches(contract, day=day, columns=list(columns)):
        yield as_contracted(rows.lazy(), contract).select(columns).collect()


def _written(
    tables: TableStore, contract: Contract, store: str, sent: Mapping[date, "Sent"], inputs: Mapping[date, str]
) -> Written | None:
    if not sent:
        return None
    return Written(
        contract.name,
        store,
        tables.version(contract) or 0,
        sum(one.lines for one in sent.values()),
        {day: fingerprint(store, inputs[day], str(one.lines)) for day, one in sent.items()},
        {day: one.lines for day, one in sent.items()},
    )


def _entries(sent: "Sent", in_store: str) -> dict[str, Any]:
    """Metadata: rows that the store took, rejected lines with the first reasons, and rows without a value.

    Args:
        sent: what it took.
        in_store: whether that was compared with its own number of rows.
    """
    return {
        "rows_sent": sent.lines,
        "rows_in_the_store": in_store,
        "different_instants": sent.points,
        "lines_set_aside": sent.set_aside,
        "rows_without_a_value": sent.left_out,
        **({"why_set_aside": shown(points(sent.reasons))} if sent.reasons else {}),
    }
