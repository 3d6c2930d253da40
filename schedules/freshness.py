"""Freshness: policies by cadence, and a daily check that the last whole day of every table is made.

A policy refers to an asset, not to its partitions: an old day that is made again would make a table look fresh. So
tables with days have no policy; a check of each landing zone covers their last whole day.
"""

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from resources.keys import CADENCE_TAG, CURRENT_CHECK, ROLE_TAG, WHOLE_DAY_CHECK, Cadence, Role
from resources.materializations.kept import STORE_ENTRY

DAILY = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=26), fail_window=timedelta(hours=50))
# The weekly training makes its downstream assets again, with endpoint and predictions, whether or not anything landed.
WEEKLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=8), fail_window=timedelta(days=15))
#: No policy for assets that are made when drops arrive, since a region may have no events, nor for manual assets.
POLICIES = {Cadence.DAILY: DAILY, Cadence.FOLLOW: WEEKLY, Cadence.TRAINING: WEEKLY, Cadence.REFIT: WEEKLY}
AT = "5 6 * * *"  # UTC: after the deadline of the day before, and after the nightly repair


def with_freshness(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The spec with the freshness policy of its cadence, if there is one and the asset has no days."""
    cadence = spec.tags.get(CADENCE_TAG)
    if cadence is None or spec.partitions_def is not None or (policy := POLICIES.get(Cadence(cadence))) is None:
        return spec
    return spec.replace_attributes(freshness_policy=policy)


def daily_freshness(specs: Iterable[dg.AssetSpec]) -> dg.ScheduleDefinition:
    """The schedule that runs the freshness check of every landing zone and of every online store, in one run a day."""
    known = list(specs)
    zones = [one.key for one in known if one.tags.get(ROLE_TAG) == Role.LANDING_ZONE]
    checks = [dg.AssetCheckKey(key, WHOLE_DAY_CHECK) for key in zones]
    checks += [dg.AssetCheckKey(one.key, CURRENT_CHECK) for one in known if STORE_ENTRY in one.metadata]
    return dg.ScheduleDefinition(
        name="daily_freshness",
        cron_schedule=AT,
        target=dg.AssetSelection.checks(*checks),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Checks that every table has the last whole day of each region, and every online store too.",
    )
