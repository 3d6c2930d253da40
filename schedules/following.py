"""What the registry starts: an alias that was moved by hand is followed by the endpoint."""

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from schedules.endpoint import Cause, request_endpoint
from sinet_pipelines.deployment.following import follow
from sinet_pipelines.errors import StorageError

NAME = "alias"


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.assets(global_key("endpoint")),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the endpoint when MLflow's alias names another version than the one that it serves.",
)
def alias(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run request for each move of the alias, a move back among them; one whose run failed is made again later.

    The tick's reason says why an alias is not followed: its version was deleted, its file is gone, it has no version.
    """
    return request_endpoint(context, NAME, _moved_alias)


def _moved_alias() -> Cause | str:
    try:
        found = follow(settings().home)
    except StorageError as error:
        return str(error)
    behind = [endpoint for endpoint in found if endpoint.is_behind]
    if not behind:
        reasons = [endpoint.reason for endpoint in found if endpoint.reason]
        return "; ".join(reasons) or "every endpoint serves the version that its alias names"
    return Cause(" ".join(endpoint.content for endpoint in behind), "; ".join(endpoint.reason for endpoint in behind))
