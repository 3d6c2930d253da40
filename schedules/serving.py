"""What a model server that does not answer starts: the endpoint is made again."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG

from resources.keys import global_key
from resources.settings import settings
from resources.state import is_walked
from sinet_pipelines.deployment.process import endpoints

NAME = "endpoint_lives"
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.assets(global_key("endpoint")),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the endpoint when its server was started and does not answer.",
)
def endpoint_lives(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request without a key while a server does not answer and none is under way: it may die again.

    A server that ends by itself is started again by its supervisor within a second or two; this is for a server that
    hangs, and for a supervisor that was ended, too. An endpoint that was stopped by `sinet stop` stays stopped.
    """
    home = settings().home
    if is_walked(home):
        yield dg.SkipReason(f"`sinet run` is at work in {home}; what it leaves is looked at next")
        return
    silent = [one for one in endpoints(home) if one["name"] == one["model"] and not one["ready"]]
    if not silent:
        yield dg.SkipReason("every endpoint that was started answers")
    elif context.instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED, tags={SENSOR_NAME_TAG: NAME}), limit=1):
        yield dg.SkipReason("the endpoint is being made again")
    else:
        names = ", ".join(f"{one['name']} version {one['version']} at {one['url']}" for one in silent)
        reason = {"sinet/reason": f"no answer of {names}"}
        yield dg.RunRequest(asset_selection=[global_key("endpoint")], tags=reason)
