"""When a region's landing zones are observed: requests of one run a region, where the regions run apart.

Each run observes the zones of all applications of the region and publishes what it found; sensors plan from that.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from resources.keys import ROLE_TAG, Role, name_of, with_tag
from resources.materializations.staleness import Staleness
from schedules.requests import unfinished_runs

OBSERVED_TAG = "sinet/observed_region"


def zones_by_region(staleness: Staleness) -> Mapping[str, Sequence[dg.AssetKey]]:
    """The landing zones of each region."""
    found: dict[str, list[dg.AssetKey]] = {}
    for key in with_tag(staleness.graph, ROLE_TAG, Role.LANDING_ZONE):
        found.setdefault(name_of(key).region or "", []).append(key)
    return found


def observations(staleness: Staleness, sensor: str) -> Iterator[dg.RunRequest]:
    """A request for each region whose last observation is older than the settings allow, or than what its steps did.

    Args:
        staleness: of the home.
        sensor: name of the sensor that makes the requests; a region with an unfinished one gets no second.
    """
    instance, every_s = staleness.instance, staleness.deployment.settings.observe_s or 1
    at_work = {run.tags.get(OBSERVED_TAG) for run in unfinished_runs(instance, sensor)}
    for region, keys in zones_by_region(staleness).items():
        last = [_observed_at(instance, key) for key in keys]
        is_due = time.time() - min(last) >= every_s or any(staleness.is_awaited(key) for key in keys)
        if is_due and region not in at_work:
            run_key = f"observe-{region}-{'-'.join(f'{at:.3f}' for at in last)}-{int(time.time() / every_s)}"
            yield dg.RunRequest(run_key=run_key, asset_selection=keys, tags={OBSERVED_TAG: region})


def _observed_at(instance: dg.DagsterInstance, key: dg.AssetKey) -> float:
    """When a zone was last observed, in seconds since 1970; 0 for never."""
    return max((one.timestamp for one in instance.fetch_observations(key, limit=1).records), default=0.0)
