"""Metadata of a table for its page: schema with units, place, and the sources of its columns."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from textwrap import shorten
from typing import Any

import dagster as dg
import polars as pl

from assets.framework.lineage import Sources, lineage_entries
from resources.code_versions import code_of
from resources.deployment import Deployment
from resources.markdown import shown
from resources.materializations.versions import INPUTS_TAG, inputs_from, inputs_now
from resources.reads import step_writes, this_step, travelled
from resources.residency import TABLE
from sinet_pipelines.features.as_known import IS_FORMER
from sinet_pipelines.markdown import table, words
from sinet_pipelines.schemas.contract import Column, Contract
from sinet_pipelines.storage.tables import Written

ROWS_AS_KNOWN = "rows_as_known_before_a_correction"  # entry of a training or evaluation set


def entries_of(contract: Contract, *, sources: Sources | None = None) -> dict[str, Any]:
    """Definition metadata of a table: its columns with types and units, and what they are made from.

    `assets/framework/binding.py` adds where it lies, which its region and application decide.

    Args:
        contract: of the table.
        sources: for each column, the columns that it is made from.
    """
    return {
        "data_class": str(contract.data_class),
        "row_key": ", ".join(contract.key),
        **lineage_entries(sources or {}),
        "dagster/column_schema": schema_of(contract),
        TABLE: contract.name,
    }


def agreements_entry(deployment: Deployment, *contracts: Contract, to: str) -> dict[str, Any]:
    """Definition metadata of an asset that reads sequences of other regions: under which agreements they come.

    Args:
        deployment: whose regions have the agreements.
        contracts: of the tables of sequences.
        to: name of the asset's region.
    """
    rows = [
        (region.name, one.table, one.to, one.purpose, one.until)
        for contract in contracts
        for region in deployment.regions
        for one in region.agreements
        if region.name != to and (one.table, one.to) == (contract.name, to)
    ]
    return {"agreements": shown(table(("from", "table", "to", "for", "until"), rows))}


@lru_cache(maxsize=256)  # each table is in several regions
def schema_of(contract: Contract) -> dg.TableSchema:
    """The contract's columns as a page shows them: types, units, bounds."""
    return dg.TableSchema([_column(column) for column in contract.columns])


def _column(column: Column) -> dg.TableColumn:
    unit = f" [{column.unit}]" if column.unit and column.unit != "1" else ""
    bounds = f"; {column.minimum:g} to {column.maximum:g}" if None not in (column.minimum, column.maximum) else ""
    return dg.TableColumn(
        column.name,
        type=str(column.dtype),
        description=f"{column.description}{unit}{bounds}",
        constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=False),
    )


def made(
    context: dg.AssetExecutionContext,
    what: Written | str,
    *,
    entries: Mapping[str, Any] | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """The result of an asset without days: key numbers first, its version by content, and the inputs it was made from.

    Args:
        context: of the step.
        what: the written table, or the version of what was made.
        entries: key numbers and links, in the order of the page.
        checks: results of the asset's own checks.
    """
    version = what if isinstance(what, str) else what.data_versions[None]
    table = {} if isinstance(what, str) else {"dagster/row_count": what.rows, "table_version": what.version}
    return dg.MaterializeResult(
        metadata={**_in_brief(entries or {}), **table, **travelled(), **step_writes()},
        data_version=dg.DataVersion(version),
        tags={INPUTS_TAG: captured_inputs(context)},
        check_results=list(checks),
    )


def corrected_entries(rows: pl.DataFrame) -> dict[str, Any]:
    """Metadata: the rows whose values were corrected after the moment of prediction; empty where there are none.

    Args:
        rows: with `is_former`, from `as_known`.
    """
    former = int(rows[IS_FORMER].sum())
    return {ROWS_AS_KNOWN: former} if former else {}


BRIEF = 56  # characters that a page of 1600 pixels shows of a text; the rest is cut
IN_FULL = "_in_full"  # ends the name of the entry with the whole text


def _in_brief(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with each long sentence shortened, and the whole sentence as markdown, which a page wraps."""
    found: dict[str, Any] = {}
    for name, value in entries.items():
        is_long = isinstance(value, str) and len(value) > BRIEF and " " in value
        found[name] = brief(value) if is_long else value
        if is_long:
            found[f"{name}{IN_FULL}"] = shown(words(value))
    return found


def brief(sentence: str) -> str:
    """The start of a sentence up to its first colon or semicolon, at most `BRIEF` characters.

    >>> brief("may not be promoted: WEST, where the endpoint is, has no neuromorphic")
    'may not be promoted'
    """
    head = re.split(r"[:;] ", sentence, maxsplit=1)[0]
    return head if len(head) <= BRIEF else shorten(head, BRIEF, placeholder=" ...")


def captured_inputs(context: dg.AssetExecutionContext) -> str:
    """The fingerprint of the inputs of this step's asset: its upstreams at the start of the step.

    It is captured before the first read: if an upstream changes later, the step may have read the old content, and its
    result is then stale.
    """
    step, code_version = this_step(), code_of(context)
    upstream = {dep.asset_key for dep in context.assets_def.specs_by_key[context.asset_key].deps}
    if step is None or not upstream.issubset(step.upstream):
        return inputs_now(context.instance, upstream, code_version=code_version)
    return inputs_from({key: step.upstream[key] for key in upstream}, code_version=code_version)
