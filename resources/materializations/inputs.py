"""The rules that compute whether days of assets are stale; each asset declares the name of one rule.

A rule returns the fingerprint of the present inputs of each day, and the days that are affected when days of an
upstream change. An application can add rules of its own (`sinet_pipelines/applications/rules.py`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from resources.keys import Cadence
from resources.materializations.versions import days_made, holds_rows, version_in, version_of
from sinet_pipelines.applications.rules import DayRule
from sinet_pipelines.monitoring.input_drift import drift_inputs, reference_span
from sinet_pipelines.storage.fingerprint import fingerprint

if TYPE_CHECKING:
    from resources.materializations.staleness import Staleness


@dataclass(frozen=True)
class Rule:
    """How the days of an asset depend on others.

    Attributes:
        now: the fingerprint of the present inputs of each day of the asset.
        reached: the days that are affected when these days of an upstream change.
    """

    now: "Callable[[Staleness, dg.AssetKey], Mapping[date, str]]"
    reached: "Callable[[Staleness, dg.AssetKey, Collection[date]], Collection[date]]" = lambda _, __, days: days


def rule_of(staleness: "Staleness", key: dg.AssetKey, name: str) -> Rule:
    """The rule of this name: of the platform, or of the asset's application.

    Raises:
        LookupError: there is none.
    """
    if name in RULES:
        return RULES[name]
    own = staleness.application(key).rules.get(name)
    if own is None:
        known = ", ".join([*RULES, *staleness.application(key).rules])
        raise LookupError(
            f"{key.to_user_string()} declares inputs {name!r}, and there is no such rule (known: {known})"
        )
    return _rule_of_application(own)


def _rule_of_application(own: DayRule) -> Rule:
    return Rule(
        now=lambda staleness, key: own.now(staleness.view(key)),
        reached=lambda _, __, days: {
            day + timedelta(days=ahead) for day in days for ahead in range(own.reach_days + 1)
        },
    )


def _landed_rows(staleness: "Staleness", key: dg.AssetKey) -> dict[date, str]:
    """For each landed day, the fingerprint of its drops."""
    days = staleness.publication(key).days
    return {day: fingerprint(staleness.code(key), days[day].content) for day in staleness.landed(key)}


def _validated_rows(staleness: "Staleness", key: dg.AssetKey) -> dict[date, str]:
    """For each landed day with raw rows, the fingerprint of these rows and of equal rows on other days."""
    raw_key = next(one for one in staleness.parents_with_days(key) if staleness.cadence(one) == Cadence.LANDING)
    raw_made = staleness.made(raw_key)
    doubt = staleness.publication(key).doubt
    return {
        day: judged_from(staleness.code(key), version_in(raw_made[day]), doubt.get(day))
        for day in staleness.landed(key)
        if day in raw_made
    }


def _same_day(staleness: "Staleness", key: dg.AssetKey) -> dict[date, str]:
    with_days = {one: staleness.rows(one) for one in staleness.parents_with_days(key)}
    return _same_day_of(with_days, staleness.parent_versions(key), code_version=staleness.code(key))


def same_day_inputs(context: dg.AssetExecutionContext, *, code_version: str) -> dict[date, str]:
    """The present inputs of the days of the step's asset by the rule `same_day`, from the event log.

    Call it before any input is read: if an upstream changes later, the step may have read the old content.
    """
    upstream = [dep.asset_key for dep in context.assets_def.specs_by_key[context.asset_key].deps]
    made = {key: days_made(context.instance, key) for key in upstream}
    with_days = {
        key: {day: version_in(tags) for day, tags in days.items() if holds_rows(tags)}
        for key, days in made.items()
        if days
    }
    once = {key: version_of(context.instance, key) for key, days in made.items() if not days}
    return _same_day_of(with_days, once, code_version=code_version)


def _same_day_of(
    with_days: Mapping[dg.AssetKey, Mapping[date, str]], once: Mapping[dg.AssetKey, str], *, code_version: str
) -> dict[date, str]:
    """For each day, the fingerprint of that day of the upstreams with days, and of the upstreams without days."""
    days = set[date]().union(*with_days.values())
    others = [f"{key.to_user_string()}={version}" for key, version in sorted(once.items())]
    return {
        day: fingerprint(code_version, *(with_days[key].get(day, "") for key in sorted(with_days)), *others)
        for day in days
    }


def _drift(staleness: "Staleness", key: dg.AssetKey) -> dict[date, str]:
    """For each day of the features, their fingerprint and, for a compared day, that of the reference days."""
    (features,) = staleness.parents_with_days(key)
    return drift_inputs(staleness.rows(features), first_day=staleness.first_day(key), code_version=staleness.code(key))


def _drift_reached(staleness: "Staleness", key: dg.AssetKey, days: Collection[date]) -> set[date]:
    """The days themselves; all later ones where one of the reference days changed."""
    first, last = reference_span(staleness.first_day(key))
    (features,) = staleness.parents_with_days(key)
    touched = set(days)
    if any(first <= day <= last for day in days):
        touched |= {day for day in staleness.rows(features) if day > last}
    return touched


RULES: Mapping[str, Rule] = {
    "landed_rows": Rule(_landed_rows),
    "validated_rows": Rule(_validated_rows),
    "same_day": Rule(_same_day),
    "drift": Rule(_drift, _drift_reached),
}


def judged_from(code_version: str, raw_version: str, doubt: str | None) -> str:
    """The fingerprint of the inputs of a day of validated rows.

    Args:
        code_version: of the code that validates.
        raw_version: the content of the day's raw rows.
        doubt: rows of the day that other days hold too; None for none.
    """
    return fingerprint(code_version, raw_version, *([] if doubt is None else [doubt]))
