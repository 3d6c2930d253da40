"""What the registry starts: an alias that was moved by hand is followed by the endpoint."""

from collections.abc import Iterator

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from resources.state import is_walked
from schedules.requests import is_requested, turn_of
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
    """One run request for each move of the alias, a move back among them; one whose run failed is made again later.

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
    behind = [endpoint for endpoint in found if endpoint.is_behind]
    if not behind:
        reasons = [endpoint.reason for endpoint in found if endpoint.reason]
        yield dg.SkipReason("; ".join(reasons) or "every endpoint serves the version that its alias names")
        return
    if is_requested(context.instance, NAME):
        yield dg.SkipReason("the endpoint is being made again")
        return
    key = global_key("endpoint")
    turn = turn_of(context.instance, NAME, " ".join(endpoint.content for endpoint in behind), keys=[key])
    if turn.run_key is None:
        yield dg.SkipReason(turn.why_not)
        return
    reason = {"sinet/reason": "; ".join(endpoint.reason for endpoint in behind)}
    yield dg.RunRequest(run_key=turn.run_key, asset_selection=[key], tags={**turn.tags, **reason})
