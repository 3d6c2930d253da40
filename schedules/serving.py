"""What a model server that does not answer starts: the endpoint is made again."""

from collections.abc import Iterator

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from resources.state import is_walked
from schedules.requests import is_requested, turn_of
from sinet_pipelines.deployment.process import endpoints

NAME = "endpoint_lives"


@dg.sensor(
    name=NAME,
    target=dg.AssetSelection.assets(global_key("endpoint")),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the endpoint when its server was started and does not answer.",
)
def endpoint_lives(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run request while a server does not answer and none is under way; later and later while its runs fail.

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
        return
    if is_requested(context.instance, NAME):
        yield dg.SkipReason("the endpoint is being made again")
        return
    names = ", ".join(f"{one['name']} version {one['version']} at {one['url']}" for one in silent)
    key = global_key("endpoint")
    turn = turn_of(context.instance, NAME, names, keys=[key])
    if turn.run_key is None:
        yield dg.SkipReason(turn.why_not)
        return
    reason = {"sinet/reason": f"no answer of {names}"}
    yield dg.RunRequest(run_key=turn.run_key, asset_selection=[key], tags={**turn.tags, **reason})
