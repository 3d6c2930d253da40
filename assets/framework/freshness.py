"""Freshness of tables with days: a check of each landing zone that its last whole day is made in every table.

Dagster's `build_time_partition_freshness_checks` (superseded since 1.13) expects the newest partition. Partitions here
include today, so that check would fail every morning. Also, a day on which nothing landed has no partition.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from resources.deployment import Deployment
from resources.keys import APPLICATION_TAG, ROLE_TAG, WHOLE_DAY_CHECK, Role
from resources.placement import REGION_TAG, bind_check
from sinet_pipelines.inventory.regions import Region

DEADLINE_H = 6  # UTC, of the day after: the nightly repair has ended


def freshness_checks(
    specs: Mapping[dg.AssetKey, dg.AssetSpec], deployment: Deployment
) -> Iterator[dg.AssetChecksDefinition]:
    """The check of each landing zone among these assets, over the tables with days of its region and application."""
    for zone in specs.values():
        if zone.tags.get(ROLE_TAG) == Role.LANDING_ZONE:
            tables = [spec.key for spec in specs.values() if _has_days_of(spec, zone)]
            yield _check_of(zone, tables, deployment.region(zone.tags[REGION_TAG]))


def last_whole_day(now: datetime) -> date:
    """The newest day whose tables must be made by now: yesterday from the deadline on, before it the day before.

    >>> last_whole_day(datetime(2026, 3, 10, 7, tzinfo=UTC)), last_whole_day(datetime(2026, 3, 10, 5, tzinfo=UTC))
    (datetime.date(2026, 3, 9), datetime.date(2026, 3, 8))
    """
    return (now.astimezone(UTC) - timedelta(hours=DEADLINE_H)).date() - timedelta(days=1)


def result(
    instance: dg.DagsterInstance, tables: Sequence[dg.AssetKey], *, day: date, landed: Sequence[date]
) -> dg.AssetCheckResult:
    """Passed where nothing landed on the day, or every table has its partition; a warning otherwise.

    Args:
        instance: whose event log is read.
        tables: assets with days.
        day: the day that must be made.
        landed: days on which anything landed in the region.
    """
    is_quiet = day not in landed
    lacking = [key for key in tables if not is_quiet and str(day) not in instance.get_materialized_partitions(key)]
    names = ", ".join(key.to_user_string() for key in lacking)
    return dg.AssetCheckResult(
        passed=not lacking,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{day} landed and is not made in {names}; `sinet status` shows why" if lacking else None,
        metadata={"day": str(day), "landed": not is_quiet, "tables": len(tables), "tables_without_it": len(lacking)},
    )


def _has_days_of(spec: dg.AssetSpec, zone: dg.AssetSpec) -> bool:
    is_of_zone = all(spec.tags.get(tag) == zone.tags.get(tag) for tag in (REGION_TAG, APPLICATION_TAG))
    return is_of_zone and spec.key != zone.key and spec.partitions_def is not None


def _check_of(zone: dg.AssetSpec, tables: Sequence[dg.AssetKey], region: Region) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=zone.key,
        name=WHOLE_DAY_CHECK,
        description=f"The last whole day that landed is made in every table with days ({len(tables)}), from "
        f"{DEADLINE_H:02}:00 UTC of the next day on. A day on which nothing landed passes; `rows_by_day` names it.",
        **bind_check(region),  # in the region: its landing zone is nowhere else
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        landed = getattr(context.resources, region.key).landing.days(region.name)
        return result(context.instance, tables, day=last_whole_day(datetime.now(UTC)), landed=landed)

    return check
