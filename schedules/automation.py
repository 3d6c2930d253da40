"""What follows by itself: conditions under which cheap assets are made when what they come from was made.

Only what is updated is followed: a day that merely began, or that lacks a neighbour, is no reason to make anything. An
asset is left alone until what it cannot do without exists (there are no features before the first regimes).
"""

from collections.abc import Mapping

import dagster as dg

from resources.keys import everywhere, global_key

Condition = dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]


def follows(*needs: dg.AssetKey) -> Condition:
    """Made when an upstream was, as soon as nothing upstream is at work or refused by a blocking check.

    Unlike `AutomationCondition.eager()`: any day counts, not the latest alone; a missing day upstream is news about
    that day and not about this one; a check that failed in an earlier run still blocks.

    Args:
        needs: upstreams that must exist.
    """
    condition = (
        dg.AutomationCondition.any_deps_updated().since_last_handled()
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
    """Made once a day by the clock: that nothing came is news which no upstream tells.

    Where no upstream was ever made there is nothing to be silent: an empty deployment requests nothing.

    Args:
        at: cron words, UTC.
    """
    ticked: Condition = dg.AutomationCondition.cron_tick_passed(at)
    something = dg.AutomationCondition.any_deps_match(~dg.AutomationCondition.missing())
    known = something | ~dg.AutomationCondition.missing()
    return ticked.since_last_handled() & known & ~dg.AutomationCondition.in_progress()


#: The condition of each asset that has one, by the last word of its key; the others wait for the clock or a person.
CONDITIONS: Mapping[str, Condition] = {
    "window_features": follows(global_key("operating_regimes")),
    "online_features": follows(),
    "live_sequences": follows(),
    "endpoint": follows(),
    "fleet_predictions": follows(global_key("endpoint")),
    "input_drift": follows(),
    "prediction_quality": follows(*everywhere("fleet_predictions")),
    "rows_by_day": daily("0 3 * * *"),
}


def with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The spec with its condition, where it has one."""
    condition = CONDITIONS.get(spec.key.path[-1])
    return spec.replace_attributes(automation_condition=condition) if condition else spec
