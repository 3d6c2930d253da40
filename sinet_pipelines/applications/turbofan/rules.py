"""Which days of window features are up to date: by rows in windows, first cycles of the engines, and the regimes."""

from collections.abc import Mapping
from datetime import date

from sinet_pipelines.applications.rules import DayRule, RuleView
from sinet_pipelines.applications.turbofan.features.inputs import DIGEST, inputs_of_digests
from sinet_pipelines.applications.turbofan.features.regimes import REGIMES, OperatingRegimes
from sinet_pipelines.applications.turbofan.schemas.features import REACH_DAYS

HUB = "EAST"  # the region that computes the regimes of all regions


def window_inputs(view: RuleView) -> Mapping[date, str]:
    """The fingerprint of the current inputs of each validated day's features; empty without regimes."""
    if view.is_lost(REGIMES):
        return {}  # regimes are computed again first, and equal rows have equal regimes
    blobs = view.blobs(HUB)
    ref = blobs.resolve(REGIMES)
    version = OperatingRegimes.from_json(blobs.get(ref).decode()).version if ref is not None else ""
    digests = view.digest(DIGEST)
    if digests is None:
        return {}  # the rows are made again first; what their features depend on is known then
    return inputs_of_digests(digests, regimes_version=version, reach_days=REACH_DAYS, code_version=view.code_version)


RULES = {"window_features": DayRule(window_inputs, reach_days=REACH_DAYS)}
