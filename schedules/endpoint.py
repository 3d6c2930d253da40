"""The request that the sensors of the endpoint have in common: it is made again for one reason at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from resources.keys import global_key
from resources.settings import settings
from resources.state import is_walked
from schedules.requests import is_requested, turn_of


@dataclass(frozen=True)
class Cause:
    """Why the endpoint is to be made again.

    Attributes:
        content: what it is made again for; the same content has its turn once, and later where its run failed.
        reason: for the page of the run.
    """

    content: str
    reason: str


def request_endpoint(
    context: dg.SensorEvaluationContext, sensor: str, find: Callable[[], Cause | str]
) -> dg.RunRequest | dg.SkipReason:
    """A run of the endpoint, or why none is requested: there is no cause, or a run is under way or waits.

    Args:
        context: of the sensor's evaluation.
        sensor: its name.
        find: the cause, or a sentence that says why there is none; not called while `sinet run` is at work.
    """
    home = settings().home
    if is_walked(home):
        return dg.SkipReason(f"`sinet run` is at work in {home}; what it leaves is looked at next")
    cause = find()
    if isinstance(cause, str):
        return dg.SkipReason(cause)
    if is_requested(context.instance, sensor):
        return dg.SkipReason("the endpoint is being made again")
    key = global_key("endpoint")
    turn = turn_of(context.instance, sensor, cause.content, keys=[key])
    if turn.run_key is None:
        return dg.SkipReason(turn.why_not)
    return dg.RunRequest(run_key=turn.run_key, asset_selection=[key], tags={**turn.tags, "sinet/reason": cause.reason})
