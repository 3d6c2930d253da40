"""Data docs of a step: Great Expectations on a sample of its days, and the page that each day's check links to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from itertools import islice

import dagster as dg
import polars as pl

from assets.framework.regional import here
from resources.keys import CONTRACT_CHECK
from resources.materializations.versions import refusals
from resources.regions import RegionResource
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.layout import DATA_DOCS, data_docs, is_local
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.validation.judge import DayVerdict

_NAMED = 5  # differences in a message


def with_page(
    context: dg.AssetExecutionContext,
    region: Region,
    contract: Contract,
    verdicts: Mapping[date, DayVerdict],
    *,
    good: Iterable[pl.DataFrame],
    bad: Iterable[pl.DataFrame],
) -> dict[date, DayVerdict]:
    """The verdicts of days with rows in the sample with the address of its page.

    Args:
        context: of the step.
        region: of the table.
        contract: of the validated rows.
        verdicts: of the days.
        good: frames of rows that satisfy the contract, of which the first is read.
        bad: frames of the others.

    Raises:
        RuntimeError: Great Expectations and the compiled pass differ, which is a defect of the platform.
    """
    from sinet_pipelines.validation.data_docs import keep_page, page_of
    from sinet_pipelines.validation.sample import confirm, sample_of

    if not any(verdict.rows for verdict in verdicts.values()):
        return dict(verdicts)
    sample = sample_of(islice(good, 1), islice(bad, 1))
    place = here(context, region)
    days = [day for day in sorted(verdicts) if day in sample[DAY_COLUMN]]
    shown = str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
    heading = f"{region.name}, {contract.name}, {shown}: sample of {sample.height} rows"
    found, of_table = confirm(sample, contract), _of_table(place, contract)
    key = keep_page(place.pages, page_of(found.result, heading=heading, days=days), days=days, **of_table)
    if found.differences:
        rows = BytesIO()
        sample.write_parquet(rows)
        kept = keep_page(place.pages, rows.getvalue(), days=days, suffix="parquet", **of_table)
        raise RuntimeError(
            f"{contract.name} of {region.name}: {'; '.join(found.differences[:_NAMED])}; report it as a defect with "
            f"the rows in {place.root}/{kept}, which must not leave {region.name}"
        )
    address = _address(context, region, key)
    return {day: replace(verdict, page=address if day in days else "") for day, verdict in verdicts.items()}


def remove_withdrawn_pages(
    context: dg.AssetExecutionContext, region: Region, contract: Contract, days: Sequence[date]
) -> None:
    """Removes the pages with rows of days on which nothing has landed any more.

    Args:
        context: of the step.
        region: of the table.
        contract: of the validated rows.
        days: the days.
    """
    from sinet_pipelines.validation.data_docs import remove_pages_of

    if days:
        place = here(context, region)
        remove_pages_of(place.pages, days, **_of_table(place, contract))


def remove_old_pages(context: dg.AssetExecutionContext, region: Region, contract: Contract) -> None:
    """Removes replaced and old pages, but none to which the check of a day that fails links.

    Args:
        context: of the step, which has recorded its results.
        region: of the table.
        contract: of the validated rows.
    """
    from sinet_pipelines.validation import data_docs as pages

    place, failing = here(context, region), refusals(context.instance, context.asset_key, CONTRACT_CHECK)
    links = [one.metadata[DATA_DOCS].value for one in failing.values() if DATA_DOCS in one.metadata]
    needed = [str(link).rpartition("/")[2] for link in links]
    pages.remove_old_pages(place.pages, needed=needed, now=datetime.now(UTC), **_of_table(place, contract))


def _of_table(place: RegionResource, contract: Contract) -> dict[str, str]:
    return {"application": place.tables.application, "table": contract.name}


def _address(context: dg.AssetExecutionContext, region: Region, key: str) -> str:
    """Where a page opens: on the address of Dagster's UI if `sinet ui` serves it there, else the page's place.

    In a cluster, Dagster's own webserver runs, which serves no pages.
    """
    place = here(context, region)
    if not is_local(place.root) or not context.resources.deployment.is_one_machine:
        return f"{place.root}/{key}"
    application = place.tables.application
    return f"/{DATA_DOCS}/{region.name}/{application}/{key.removeprefix(f'{data_docs(application)}/')}"
