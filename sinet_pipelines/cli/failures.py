"""Why assets of a run failed: the sentence each ended with, and the exit code that it stands for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinet_pipelines import errors
from sinet_pipelines.errors import FailedError, RefusedError, SinetError

if TYPE_CHECKING:
    from dagster import DagsterInstance

#: What Dagster raises where a blocking check fails, and where a step says by itself that it has failed.
CHECK_SAID_NO = ("DagsterAssetCheckFailedError", "Failure")


@dataclass(frozen=True)
class AssetFailure:
    """An asset that was to be made and was not.

    Attributes:
        asset: its key.
        reason: in a sentence.
        exit_code: 1 where a check said no, 2 where it was asked wrongly, 3 where it failed.
        is_refusal: whether every day it was asked for failed its contract, which stops nothing but these days.
    """

    asset: str
    reason: str
    exit_code: int
    is_refusal: bool


def failures_of(instance: "DagsterInstance", run_id: str, step_names: Mapping[str, str]) -> list[AssetFailure]:
    """The failures of one run, in the order they happened.

    Args:
        instance: that executed it.
        run_id: of the run.
        step_names: the asset of each of its steps.
    """
    from dagster import DagsterEventType

    found = []
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        name = step_names.get(event.step_key or "") if event is not None else None
        if event is not None and name is not None:
            found.append(_failure(name, event.step_failure_data))
    return found


def _failure(asset: str, data: Any) -> AssetFailure:
    """One failure by the error it began with; a step's own word for it comes first."""
    own = data.user_failure_data.description if data.user_failure_data else None
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    kind = "" if error is None else str(error.cls_name).rpartition(".")[2]
    said = own or ("no error was recorded" if error is None else error.message)
    return AssetFailure(asset, _sentence(said, kind), exit_code(kind), is_refusal=own is not None)


def _sentence(said: str, kind: str) -> str:
    """The first line of what was said, without the name of the error's class before it."""
    line = (said.strip().splitlines() or [""])[0]
    return line.removeprefix(f"sinet_pipelines.errors.{kind}: ").removeprefix(f"{kind}: ")


def exit_code(kind: str) -> int:
    """What an error of this class ends a command with.

    >>> exit_code("DisagreementError"), exit_code("StorageError"), exit_code("ValueError")
    (1, 3, 3)
    """
    own = getattr(errors, kind, None)
    if isinstance(own, type) and issubclass(own, SinetError):
        return own.exit_code
    return RefusedError.exit_code if kind in CHECK_SAID_NO else FailedError.exit_code
