"""Column lineage: which columns of which tables each column of a table is made from.

It is part of the asset's definition, not of each day's materialisation: 200 columns on each of 25 days and in three
regions would be most of the event log. Dagster's open-source UI shows no lineage of columns (1.13), so the same facts
are also a table that it shows.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from resources.markdown import shown
from sinet_pipelines.markdown import Markdown, code, table, words
from sinet_pipelines.schemas.contract import Contract

Sources = Mapping[str, tuple[dg.TableColumnDep, ...]]

SHOWN = 3  # names of columns with equal sources; the others are counted


def copied(contract: Contract, *, of: Contract, keys: Iterable[dg.AssetKey]) -> Sources:
    """Columns that are copied under the same name from each of the source tables.

    Args:
        contract: of the table.
        of: the contract of the source tables.
        keys: of these tables, one for each region.
    """
    known, tables = {column.name for column in of.columns}, tuple(keys)
    return {
        c.name: tuple(dg.TableColumnDep(key, c.name) for key in tables) for c in contract.columns if c.name in known
    }


def derived(names: Iterable[str], columns: Iterable[str], *, keys: Iterable[dg.AssetKey]) -> Sources:
    """Columns that are each computed from all of the passed columns of all of the passed tables."""
    tables, origins = tuple(keys), tuple(columns)
    found = tuple(dg.TableColumnDep(key, origin) for key in tables for origin in origins)
    return dict.fromkeys(names, found)


def joined(*parts: Sources) -> Sources:
    """Columns with the sources of every part."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: tuple(dep for part in parts for dep in part.get(name, ())) for name in names}


def lineage_entries(sources: Sources) -> dict[str, Any]:
    """Definition metadata: the lineage in Dagster's form, and as a table for the UI."""
    if not sources:
        return {}
    return {
        "columns_made_from": shown(_as_table(sources)),
        "dagster/column_lineage": dg.TableColumnLineage({name: list(deps) for name, deps in sources.items()}),
    }


def _as_table(sources: Sources) -> Markdown:
    """One line for all columns with equal sources."""
    alike: dict[str, list[str]] = {}
    for name, deps in sources.items():
        alike.setdefault(_sources(name, deps), []).append(name)
    return table(("columns", "made from"), ((_listed(names), Markdown(origin)) for origin, names in alike.items()))


def _sources(name: str, deps: Iterable[dg.TableColumnDep]) -> str:
    columns_of: dict[dg.AssetKey, list[str]] = {}
    for dep in deps:
        columns_of.setdefault(dep.asset_key, []).append(dep.column_name)
    alike: dict[tuple[str, str], list[str]] = {}
    for key, columns in columns_of.items():
        own = "the same" if columns == [name] else ", ".join(map(code, columns))
        alike.setdefault((own, key.path[-1]), []).append(key.path[0])
    return "; ".join(f"{own} of {words(name)} in {words(', '.join(regions))}" for (own, name), regions in alike.items())


def _listed(names: list[str]) -> Markdown:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Markdown(", ".join(map(code, names[:SHOWN])) + more)
