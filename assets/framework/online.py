"""Replicas of the online store: the check that a region's replica is current, and what its page shows."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from resources.keys import CURRENT_CHECK
from resources.markdown import shown
from resources.placement import bind_check
from sinet_pipelines.applications.application import Application
from sinet_pipelines.escaping import for_markdown
from sinet_pipelines.features.lag import Lag, recorded_lag
from sinet_pipelines.features.replica_mark import Mark
from sinet_pipelines.features.replicas import ReplicaPlace
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.markdown import code, table


def replica_check(
    application: Application, region: Region, key: dg.AssetKey, *, reads: Sequence[Region]
) -> dg.AssetChecksDefinition:
    """The check that a region's replica is current; its step runs in the region and warns.

    Args:
        application: whose features they are.
        region: of the replica.
        key: of the asset that writes it.
        reads: the regions of the tables of features.
    """
    arguments = bind_check(region, reads=reads)
    arguments["required_resource_keys"] = {*arguments["required_resource_keys"], "feature_store"}

    @dg.asset_check(
        asset=key,
        name=CURRENT_CHECK,
        description=f"The online store of {region.name} answers, has every engine of the tables of features, was last "
        f"written by this home, and its newest event is at most {region.online_store.lag_limit_s:,.0f} s older than "
        "that of the tables.",
        **arguments,
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        folder = Path(context.resources.feature_store.folder)
        place = ReplicaPlace(folder, region.name, region.online_store, application.name)
        return result(recorded_lag(place, reader=region.name))

    return check


def result(lag: Lag) -> dg.AssetCheckResult:
    """Passed where the replica is current; a warning with one sentence otherwise."""
    return dg.AssetCheckResult(
        passed=lag.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=for_markdown(lag.sentence) if lag.sentence else None,
        metadata={
            **lag_entries(lag),
            "limit_s": lag.limit_s,
            "engines": lag.engines,
            "engines_behind": lag.behind,
            "engines_missing": lag.missing,
            "engines_withdrawn": lag.withdrawn,
            "store": f"{lag.store}: {lag.place}",
            "newest_event_at": _spelled(lag.newest_event_at),
            "written_at": _spelled(lag.written_at),
        },
    )


def lag_entries(lag: Lag) -> dict[str, float]:
    """The lags as numbers, which the page of the asset shows as plots over time."""
    return {"event_lag_s": float(lag.event_lag_s), "arrival_lag_s": float(lag.arrival_lag_s)}


def write_entries(mark: Mark, before: Lag) -> dict[str, Any]:
    """Metadata of a write to a replica: number of engines, newest event, the lag that it ended, and its sources.

    Args:
        mark: of the write.
        before: the lag when the step started; of a replica that could not be read, that of an empty one.
    """
    rows = [(code(name), one.version, _spelled(one.committed_at)) for name, one in sorted(mark.tables.items())]
    return {
        "engines": mark.entities,
        "newest_event_at": _spelled(mark.newest_event_at),
        **{f"{name}_before": value for name, value in lag_entries(before).items()},
        "feature_version": mark.definition,
        "store": f"{before.store}: {before.place}",
        "written_from": shown(table(("table", "Delta version", "committed (UTC)"), rows, numeric=(1,))),
    }


def _spelled(at: datetime | None) -> str:
    return at.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") if at else "none"
