"""Finds why assets of a run failed: the reason of each in one sentence, and its exit code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinet_pipelines import errors
from sinet_pipelines.errors import FailedError, RefusedError, SinetError

if TYPE_CHECKING:
    from dagster import DagsterInstance

#: Dagster's errors where a blocking check fails, and where a step reports its own failure.
CHECK_FAILURES = ("DagsterAssetCheckFailedError", "Failure")


@dataclass(frozen=True)
class AssetFailure:
    """An asset that a run should have made and did not.

    Attributes:
        asset: its key.
        reason: one sentence.
        exit_code: 1 where a check failed, 2 for wrong usage or input, 3 where it failed.
        is_refusal: whether every requested day failed its contract; other days and assets are then made as usual.
    """

    asset: str
    reason: str
    exit_code: int
    is_refusal: bool


def failures_of(instance: "DagsterInstance", run_id: str, step_names: Mapping[str, str]) -> list[AssetFailure]:
    """The failures of one run, in the order they happened.

    Args:
        instance: the instance that executed the run.
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
    """One failure; the reason that the step itself wrote comes first.

    Else the reason is the message of the first error of this package in the chain of causes: it names the cure, while
    its cause may have a client's own text. A chain without such an error is described by its first error.
    """
    own = data.user_failure_data.description if data.user_failure_data else None
    error = data.error
    while error is not None and error.cause is not None and not _is_own(_kind(error)):
        error = error.cause
    kind = "" if error is None else _kind(error)
    message = own or ("no error was recorded" if error is None else error.message)
    return AssetFailure(asset, _sentence(message, kind), exit_code(kind), is_refusal=own is not None)


def _sentence(message: str, kind: str) -> str:
    """The first line of a message, without the name of the error's class before it."""
    line = (message.strip().splitlines() or [""])[0]
    return line.removeprefix(f"sinet_pipelines.errors.{kind}: ").removeprefix(f"{kind}: ")


def _kind(error: Any) -> str:
    """The name of an error's class without its module."""
    return str(error.cls_name).rpartition(".")[2]


def _is_own(kind: str) -> bool:
    own = getattr(errors, kind, None)
    return isinstance(own, type) and issubclass(own, SinetError)


def exit_code(kind: str) -> int:
    """The exit code of a command that ends with an error of this class.

    >>> exit_code("DisagreementError"), exit_code("StorageError"), exit_code("ValueError")
    (1, 3, 3)
    """
    if _is_own(kind):
        return int(getattr(errors, kind).exit_code)
    return RefusedError.exit_code if kind in CHECK_FAILURES else FailedError.exit_code
