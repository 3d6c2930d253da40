"""What a model server that does not answer starts: the endpoint is made again."""

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from schedules.endpoint import Cause, request_endpoint
from sinet_pipelines.deployment.endpoints import endpoints

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

    In a cluster the Deployment does that; this is for one that was deleted, scaled to 0, or lost its Service or its
    namespace. Where the cluster cannot be asked, nothing is requested: a run could do no more.
    """
    return request_endpoint(context, NAME, _silent_server)


def _silent_server() -> Cause | str:
    silent = [one for one in endpoints(settings().home) if one["name"] == one["model"] and not one["ready"]]
    if not silent:
        return "every endpoint that was started answers"
    dead = [one for one in silent if one.get("known", True)]
    if not dead:
        return f"how the endpoint stands is not to be had: {'; '.join(one['reason'] for one in silent)}"
    names = [f"{one['name']} version {one['version']} at {one['url']}" for one in dead]
    reasons = (f" ({one['reason']})" if one.get("reason") else "" for one in dead)  # these vary while it is dead
    return Cause(", ".join(names), f"no answer of {', '.join(map(''.join, zip(names, reasons, strict=True)))}")
