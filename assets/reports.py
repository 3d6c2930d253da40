"""What a page shows of a table: schema with units, where it is, and how its columns came to be."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from resources.versions import INPUTS_TAG, inputs_now
from sinet_pipelines.schemas.contract import Column, Contract
from sinet_pipelines.storage.tables import Written


def entries_of(contract: Contract) -> dict[str, Any]:
    """Definition metadata of a table: its columns with types and units, its name and its data class."""
    return {
        "dagster/column_schema": dg.TableSchema([_column(column) for column in contract.columns]),
        "dagster/table_name": contract.name,
        "data_class": str(contract.data_class),
    }


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
    code_version: str,
    entries: Mapping[str, Any] | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """The result of an asset without days: key numbers first, its version by content, and the inputs it was made from.

    Args:
        context: of the step.
        what: the written table, or the version of what was made.
        code_version: of the asset.
        entries: key numbers and links, in the order of the page.
        checks: results of the asset's own checks.
    """
    version = what if isinstance(what, str) else what.data_versions[None]
    table = {} if isinstance(what, str) else {"dagster/row_count": what.rows, "table_version": what.version}
    upstream = {key.asset_key for key in context.assets_def.specs_by_key[context.asset_key].deps}
    return dg.MaterializeResult(
        metadata={**(entries or {}), **table},
        data_version=dg.DataVersion(version),
        tags={INPUTS_TAG: inputs_now(context.instance, upstream, code_version=code_version)},
        check_results=list(checks),
    )
