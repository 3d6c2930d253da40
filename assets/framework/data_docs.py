"""Data docs of a step: Great Expectations on a sample of its days, and the page that each day's check links to."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from itertools import islice

import dagster as dg
import polars as pl

from assets.framework.regional import here
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.storage.layout import DATA_DOCS, data_docs, is_local
from sinet_pipelines.validation.judge import DayVerdict


def with_page(
    context: dg.AssetExecutionContext,
    region: Region,
    contract: Contract,
    verdicts: Mapping[date, DayVerdict],
    *,
    good: Iterable[pl.DataFrame],
    bad: Iterable[pl.DataFrame],
) -> dict[date, DayVerdict]:
    """The verdicts with the address of the page of their sample; unchanged if no day has rows.

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
    first, last = min(verdicts), max(verdicts)
    days = str(first) if first == last else f"{first} to {last}"
    page = page_of(
        confirm(sample, contract), heading=f"{region.name}, {contract.name}, {days}: sample of {sample.height} rows"
    )
    application = place.tables.application
    key = keep_page(place.pages, page, application=application, table=contract.name, day=first)
    below = key.removeprefix(f"{data_docs(application)}/")
    served = f"/{DATA_DOCS}/{region.name}/{application}/{below}"
    address = served if is_local(place.root) else f"{place.root}/{key}"
    return {day: replace(verdict, page=address) for day, verdict in verdicts.items()}
