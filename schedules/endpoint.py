"""The run request of the sensors of endpoints: the endpoint is made again for one cause at a time."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from resources.keys import ENDPOINT, ROLE_TAG, Role
from resources.materializations.state import is_run_in_progress
from schedules.requests import is_requested, turn_of
from sinet_pipelines.applications import load_applications


@dataclass(frozen=True)
class Cause:
    """Why the endpoint is made again.

    Attributes:
        content: identifies the cause; one request for each content, and a later one where its run failed.
        reason: for the page of the run.
        models: names of the models of these endpoints.
    """

    content: str
    reason: str
    models: tuple[str, ...]


def request_endpoint(
    context: dg.SensorEvaluationContext, home: Path, sensor: str, find: Callable[[Path], Cause | str]
) -> dg.RunRequest | dg.SkipReason:
    """A run request for the endpoint, or the reason why there is none: no cause, or a run in progress or waiting.

    Args:
        context: of the sensor's evaluation.
        home: of the deployment.
        sensor: its name.
        find: returns the cause in a home, or a sentence why there is none; not called while `sinet run` is in progress.
    """
    if is_run_in_progress(home):
        return dg.SkipReason(f"`sinet run` is in progress in {home}; the sensor continues afterwards")
    cause = find(home)
    if isinstance(cause, str):
        return dg.SkipReason(cause)
    if is_requested(context.instance, sensor):
        return dg.SkipReason("the endpoint is being made again")
    keys = endpoint_keys(cause.models)
    if not keys:
        return dg.SkipReason(f"no application has the model {', '.join(cause.models)}; end it with `sinet stop`")
    turn = turn_of(context.instance, sensor, cause.content, keys=keys)
    if turn.run_key is None:
        return dg.SkipReason(turn.why_not)
    return dg.RunRequest(run_key=turn.run_key, asset_selection=keys, tags={**turn.tags, "sinet/reason": cause.reason})


def endpoint_keys(models: Collection[str]) -> list[dg.AssetKey]:
    """The endpoints of the applications that have these models.

    Args:
        models: names in the registry.
    """
    return [dg.AssetKey(one.key(ENDPOINT)) for one in load_applications() if one.model in models]


def endpoint_selection() -> dg.AssetSelection:
    """The endpoints of all applications."""
    return dg.AssetSelection.tag(ROLE_TAG, Role.ENDPOINT)
