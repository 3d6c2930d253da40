"""Makes an endpoint again when its model server does not respond."""

from pathlib import Path

import dagster as dg

from resources.deployment import Deployment
from schedules.endpoint import Cause, endpoint_selection, request_endpoint
from sinet_pipelines.deployment.endpoints import endpoints

NAME = "endpoint_lives"


@dg.sensor(
    name=NAME,
    target=endpoint_selection(),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the endpoint when its server was started and does not respond.",
)
def endpoint_lives(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment]
) -> dg.RunRequest | dg.SkipReason:
    """One run request while a server does not respond and no run is in progress; growing delays while runs fail.

    A server that ends by itself is restarted by its supervisor within a second or two. This sensor covers a server that
    hangs, and a supervisor that was ended, too. An endpoint that was stopped by `sinet stop` stays stopped.

    In a cluster the Deployment restarts servers. This sensor covers a Deployment that was deleted, scaled to 0, or lost
    its Service or namespace. Where the cluster does not respond, nothing is requested, since a run could do no more.
    """
    return request_endpoint(context, deployment.home, NAME, _silent_server)


def _silent_server(home: Path) -> Cause | str:
    silent = [one for one in endpoints(home) if one["name"] == one["model"] and not one["ready"]]
    if not silent:
        return "every endpoint that was started responds"
    dead = [one for one in silent if one.get("known", True)]
    if not dead:
        return f"the state of the endpoint is unknown: {'; '.join(one['reason'] for one in silent)}"
    names = [f"{one['name']} version {one['version']} at {one['url']}" for one in dead]
    reasons = (f" ({one['reason']})" if one.get("reason") else "" for one in dead)  # these vary while it is dead
    silent_endpoints = ", ".join(map("".join, zip(names, reasons, strict=True)))
    return Cause(", ".join(names), f"no response of {silent_endpoints}", tuple(one["model"] for one in dead))
