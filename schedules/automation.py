"""What follows by itself: conditions under which cheap assets are made when what they come from was made."""

import dagster as dg

# A missing day upstream is news about that day, not about this one; and a late day is as welcome as today's.
FOLLOWS_ITS_DAYS = (
    dg.AutomationCondition.eager()
    .without(dg.AutomationCondition.in_latest_time_window())
    .without(~dg.AutomationCondition.any_deps_missing())
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
FOLLOWS = (
    dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)

#: The condition of each asset that has one, by the last word of its key; the others wait for the clock or a person.
CONDITIONS: dict[str, dg.AutomationCondition] = {
    "window_features": FOLLOWS_ITS_DAYS,
    "online_features": FOLLOWS,
    "live_sequences": FOLLOWS,
    "endpoint": FOLLOWS,
    "fleet_predictions": FOLLOWS,
}


def with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The spec with its condition, where it has one."""
    condition = CONDITIONS.get(spec.key.path[-1])
    return spec.replace_attributes(automation_condition=condition) if condition else spec
