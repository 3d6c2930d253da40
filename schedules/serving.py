"""What a model server that does not answer starts: the endpoint is made again."""

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from schedules.endpoint import Cause, request_endpoint
from sinet_pipelines.deployment.process import endpoints

NAME = "endpoint_lives"


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.assets(global_key("endpoint")),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the endpoint when its server was started and does not answer.",
)
def endpoint_lives(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request while a server does not answer and none is under way; later and later while its runs fail.

    A server that ends by itself is started again by its supervisor within a second or two; this is for a server that
    hangs, and for a supervisor that was ended, too. An endpoint that was stopped by `sinet stop` stays stopped.
    """
    return request_endpoint(context, NAME, _silent_server)


def _silent_server() -> Cause | str:
    silent = [one for one in endpoints(settings().home) if one["name"] == one["model"] and not one["ready"]]
    if not silent:
        return "every endpoint that was started answers"
    names = ", ".join(f"{one['name']} version {one['version']} at {one['url']}" for one in silent)
    return Cause(names, f"no answer of {names}")
