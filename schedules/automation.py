"""Automation conditions: when cheap assets are made after their upstreams.

Only an upstream that was made triggers an asset; a day that only began, or a missing neighbour, does not. An asset is
not made before every upstream without days exists (there are no features before the first regimes). Tables of events do
not count as such upstreams, since a region may never have any.
"""

from collections.abc import Mapping

import dagster as dg

from resources.keys import CADENCE_TAG, Cadence

Condition = dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]
AT = "0 3 * * *"  # UTC, for daily assets: a day's last drops have arrived


def follows(*needs: dg.AssetKey) -> Condition:
    """Makes an asset after an upstream, once no upstream is in progress or stopped by a blocking check.

    Differs from `AutomationCondition.eager()`: any day counts, not the latest alone; a missing upstream day concerns
    that day alone; a check that failed in an earlier run still blocks. If the asset and an upstream of it were both
    made since the last evaluation, the later one decides: `since_last_handled` would take the upstream for handled, and
    a drop that lands just after a backfill would not be followed.

    Args:
        needs: upstreams that must exist.
    """
    made = dg.AutomationCondition.newly_updated()
    is_older = dg.AutomationCondition.any_deps_match(made).since(made)  # Dagster compares the instants of these alone
    with_upstream = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
    requested = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.initial_evaluation()
    condition = (
        (is_older | with_upstream)
        & dg.AutomationCondition.any_deps_updated().since(requested)
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
    )
    if not needs:
        return condition
    missing = dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.missing() & ~dg.AutomationCondition.will_be_requested()
    )
    return condition & ~missing.allow(dg.AssetSelection.assets(*needs))


def daily(at: str) -> Condition:
    """Makes an asset once a day at a fixed time, for assets that also report that nothing arrived.

    While no upstream was ever made it requests nothing, so an empty deployment has no runs.

    Args:
        at: cron schedule, UTC.
    """
    ticked: Condition = dg.AutomationCondition.cron_tick_passed(at)
    something = dg.AutomationCondition.any_deps_match(~dg.AutomationCondition.missing())
    known = something | ~dg.AutomationCondition.missing()
    return ticked.since_last_handled() & known & ~dg.AutomationCondition.in_progress()


def with_condition(spec: dg.AssetSpec, specs: Mapping[dg.AssetKey, dg.AssetSpec]) -> dg.AssetSpec:
    """The spec with the automation condition of its cadence, if that has one.

    Args:
        spec: of the asset.
        specs: all assets by key, to find its upstreams.
    """
    cadence = spec.tags.get(CADENCE_TAG)
    if cadence == Cadence.DAILY:
        return spec.replace_attributes(automation_condition=daily(AT))
    if cadence != Cadence.FOLLOW:
        return spec
    needs = [dep.asset_key for dep in spec.deps if _must_exist(specs[dep.asset_key])]
    return spec.replace_attributes(automation_condition=follows(*needs))


def _must_exist(upstream: dg.AssetSpec) -> bool:
    return upstream.partitions_def is None and upstream.tags.get(CADENCE_TAG) != Cadence.LANDING
