"""Column lineage: which columns of which tables each column of a table is made from.

Told once, with the asset's definition, never with a day's materialisation: 200 columns on each of 25 days and in three
regions would be most of the event log. Dagster's open pages draw no lineage of columns (1.13), so the same is also told
as a table that they show.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from resources.markdown import shown
from sinet_pipelines.markdown import Markdown, code, table, words
from sinet_pipelines.schemas.contract import Contract
from sinet_pipelines.schemas.features import FEATURE_NAMES, LIVE_SEQUENCES, SCALED_SENSORS, WINDOW_FEATURES
from sinet_pipelines.schemas.telemetry import CHANNELS, SETTING_NAMES, VALIDATED_TELEMETRY

Sources = Mapping[str, tuple[dg.TableColumnDep, ...]]

SHOWN = 3  # names of columns that are made alike; the others are counted
AGE = "age_cycles"


def copied(contract: Contract, *, of: Contract, keys: Iterable[dg.AssetKey]) -> Sources:
    """Columns that stand under the same name in each of the tables they come from.

    Args:
        contract: of the table.
        of: the contract of the tables they come from.
        keys: of these tables, one a region.
    """
    known, tables = {column.name for column in of.columns}, tuple(keys)
    return {
        c.name: tuple(dg.TableColumnDep(key, c.name) for key in tables) for c in contract.columns if c.name in known
    }


def derived(names: Iterable[str], columns: Iterable[str], *, keys: Iterable[dg.AssetKey]) -> Sources:
    """Columns of which each is computed from all of the given columns of all of the given tables."""
    tables, origins = tuple(keys), tuple(columns)
    found = tuple(dg.TableColumnDep(key, origin) for key in tables for origin in origins)
    return dict.fromkeys(names, found)


def joined(*parts: Sources) -> Sources:
    """Columns with the origins of every part."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: tuple(dep for part in parts for dep in part.get(name, ())) for name in names}


def features_of(telemetry: dg.AssetKey) -> Sources:
    """A feature is made from its sensor, from the settings that tell the operating regime, and from the cycle."""
    sources = dict(copied(WINDOW_FEATURES, of=VALIDATED_TELEMETRY, keys=[telemetry]))
    for name in FEATURE_NAMES:
        origins = ("cycle",) if name == AGE else (name.split("_z_")[0], *SETTING_NAMES, "cycle")
        sources |= derived([name], origins, keys=[telemetry])
    return {**sources, **derived(["window_cycles_present"], ["cycle"], keys=[telemetry])}


def cells_of(telemetry: dg.AssetKey) -> Sources:
    """A cell's mean and spread of a channel are made from that channel, of the rows that its settings put there."""
    sources = derived(["row_count"], SETTING_NAMES, keys=[telemetry])
    for name in CHANNELS:
        sources = {**sources, **derived([f"{name}_mean", f"{name}_m2"], [name], keys=[telemetry])}
    return sources


def scaled_of(telemetry: dg.AssetKey) -> Sources:
    """A scaled sensor is made from its sensor and from the settings that tell the operating regime."""
    sources: Sources = {}
    for name in SCALED_SENSORS:
        sources = {**sources, **derived([name], (name.removesuffix("_z"), *SETTING_NAMES), keys=[telemetry])}
    return sources


def sequences_of(telemetry: dg.AssetKey) -> Sources:
    """A window holds all channels, in the places that their cycles say."""
    copies = copied(LIVE_SEQUENCES, of=VALIDATED_TELEMETRY, keys=[telemetry])
    return {**copies, **derived(["window", "first_cycles"], [*CHANNELS, "cycle"], keys=[telemetry])}


def lineage_entries(sources: Sources) -> dict[str, Any]:
    """Definition metadata: the lineage as Dagster knows it, and as a table for the page."""
    if not sources:
        return {}
    return {
        "columns_made_from": shown(_as_table(sources)),
        "dagster/column_lineage": dg.TableColumnLineage({name: list(deps) for name, deps in sources.items()}),
    }


def _as_table(sources: Sources) -> Markdown:
    """One line for the columns that are made alike."""
    alike: dict[str, list[str]] = {}
    for name, deps in sources.items():
        alike.setdefault(_told(name, deps), []).append(name)
    return table(("columns", "made from"), ((_listed(names), Markdown(told)) for told, names in alike.items()))


def _told(name: str, deps: Iterable[dg.TableColumnDep]) -> str:
    columns_of: dict[dg.AssetKey, list[str]] = {}
    for dep in deps:
        columns_of.setdefault(dep.asset_key, []).append(dep.column_name)
    alike: dict[tuple[str, str], list[str]] = {}
    for key, columns in columns_of.items():
        said = "the same" if columns == [name] else ", ".join(map(code, columns))
        alike.setdefault((said, key.path[-1]), []).append(key.path[0])
    return "; ".join(
        f"{said} of {words(name)} in {words(', '.join(regions))}" for (said, name), regions in alike.items()
    )


def _listed(names: list[str]) -> Markdown:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Markdown(", ".join(map(code, names[:SHOWN])) + more)
