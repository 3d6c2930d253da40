"""Makes an endpoint again when a person moves the champion alias in the registry."""

import time
from pathlib import Path

import dagster as dg

from resources.deployment import Deployment
from schedules.endpoint import Cause, endpoint_selection, request_endpoint
from schedules.seen import Glance, forget, keep
from sinet_pipelines.deployment.changes import AFTER, Reads, valid_until
from sinet_pipelines.deployment.cluster.record import recorded
from sinet_pipelines.deployment.following import follow
from sinet_pipelines.errors import StorageError

NAME = "alias"
AGREED = "every endpoint serves the version that its alias names"


@dg.sensor(
    name=NAME,
    target=endpoint_selection(),
    minimum_interval_seconds=30,
    tags={AFTER: Reads.REGISTRY.value},
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the endpoint when MLflow's alias names another version than the endpoint serves.",
)
def alias(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment]
) -> dg.RunRequest | dg.SkipReason:
    """One run request for each move of the alias, also for a move back; after a failed run a later one.

    Where an alias cannot be followed, the tick's reason names the cause: its version or file is deleted, or missing.
    """
    found = request_endpoint(context, deployment.home, NAME, _moved_alias)
    if not isinstance(found, dg.SkipReason) or found.skip_message != AGREED or not _is_local(deployment):
        forget(context)
    elif time.time() > valid_until(context.cursor):
        keep(context, Glance("", ""), AGREED, until_change=True)
    return found


def _is_local(deployment: Deployment) -> bool:
    """Whether files of this machine show which version each endpoint serves: no endpoint is in a cluster."""
    return deployment.is_one_machine and not recorded(deployment.home)


def _moved_alias(home: Path) -> Cause | str:
    try:
        found = follow(home)
    except StorageError as error:
        return str(error)
    behind = [endpoint for endpoint in found if endpoint.is_behind]
    if not behind:
        reasons = [endpoint.reason for endpoint in found if endpoint.reason]
        return "; ".join(reasons) or AGREED
    content = " ".join(endpoint.content for endpoint in behind)
    reason = "; ".join(endpoint.reason for endpoint in behind)
    return Cause(content, reason, tuple(endpoint.model for endpoint in behind))
