"""What the registry starts: an alias that was moved by hand is followed by the endpoint."""

from collections.abc import Iterator

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from resources.state import is_walked
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
def alias(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request for each move of the alias; its key is the server and the version, so a move back is one, too.

    The tick's reason says why an alias is not followed: its version was deleted, its file is gone, it has no version.
    """
    home = settings().home
    if is_walked(home):
        yield dg.SkipReason(f"`sinet run` is at work in {home}; what it leaves is looked at next")
        return
    try:
        found = follow(home)
    except StorageError as error:
        yield dg.SkipReason(str(error))
        return
    for endpoint in found:
        if endpoint.is_behind:
            reason = {"sinet/reason": endpoint.reason}
            yield dg.RunRequest(run_key=endpoint.content, asset_selection=[global_key("endpoint")], tags=reason)
    if not any(endpoint.is_behind for endpoint in found):
        reasons = [endpoint.reason for endpoint in found if endpoint.reason]
        yield dg.SkipReason("; ".join(reasons) or "every endpoint serves the version that its alias names")
