"""Executes one step in this process, as `dagster api execute_step` does, within the fence of its attempt."""

import base64
import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dagster import DagsterInstance
from dagster._cli.api import _execute_step_command_body, execute_step_command
from dagster._cli.utils import get_instance_for_cli
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.interrupts import capture_interrupts
from sqlalchemy.exc import SQLAlchemyError

from resources.router.fence import JOB_VARIABLE, Fence, fenced

TOLD_TO_END = 128 + signal.SIGTERM  # the exit code of a step that was told to end
WATCH_S = 20  # between two looks at whether the run still wants the step
GRACE_S = 30  # for a step to end on being told to by the watch


def execute_step(arguments: Sequence[str], *, is_told_to_end: Callable[[], bool]) -> int:
    """Executes the step that the arguments, or Dagster's variable for them, describe; the exit code.

    Args:
        arguments: as of `dagster api execute_step`.
        is_told_to_end: whether the process was sent SIGTERM.
    """
    args = step_arguments(arguments)
    with capture_interrupts(), get_instance_for_cli(instance_ref=args.instance_ref) as instance:
        fence = fence_of(args, instance, is_told_to_end=is_told_to_end)
        try:
            return run_step(args, fence)
        except DagsterExecutionInterruptedError:
            return 0 if fence.closed else TOLD_TO_END  # the watch ends a worker that its run wants no more


def run_step(args: ExecuteStepArgs, fence: Fence) -> int:
    """Executes a step in the instance of its fence, unless the fence is closed; the exit code.

    Raises:
        DagsterExecutionInterruptedError: the process was told to end; what the log must know of it is written.
    """
    run = fence.instance.get_run_by_id(args.run_id)
    if run is None or fence.ask():
        sys.stderr.write(f"nothing is begun: {fence.closed or 'its run is deleted'}\n")
        return 0
    with fenced(fence), _watched(fence):
        for event in _execute_step_command_body(args, fence.instance, run):
            if args.print_serialized_events:
                sys.stdout.write(f"{serialize_value(event)}\n")
    return TOLD_TO_END if fence.is_interrupted else 0


def step_arguments(arguments: Sequence[str]) -> ExecuteStepArgs:
    """What the command line, or Dagster's variables, say of the step; spelled as Dagster's own command takes it."""
    given = execute_step_command.make_context("api execute_step", list(arguments)).params
    packed, plain = given["compressed_input_json"], given["input_json"]
    text = zlib.decompress(base64.b64decode(packed)).decode() if packed else plain
    return deserialize_value(text, ExecuteStepArgs)


def fence_of(args: ExecuteStepArgs, instance: DagsterInstance, *, is_told_to_end: Callable[[], bool]) -> Fence:
    """The fence of the attempt that the arguments describe, in the pod that this process runs in."""
    (step_key,) = args.step_keys_to_execute or ()
    number = args.known_state.get_retry_state().get_attempt_count(step_key) if args.known_state else 0
    job = os.environ.get(JOB_VARIABLE, "")
    return Fence(instance, args.run_id, step_key, number, job=job, is_told_to_end=is_told_to_end)


@contextmanager
def _watched(fence: Fence) -> Iterator[None]:
    """Until left, a thread ends the process once its run wants the attempt no more: its Job may be out of reach."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_S) and not fence.is_through:
            try:
                closed = fence.ask()
            except (SQLAlchemyError, OSError):
                continue  # a database that does not answer now; the next commit asks again
            if closed:
                signal.raise_signal(signal.SIGTERM)
                if not is_over.wait(GRACE_S):
                    os._exit(0)
                return

    thread = threading.Thread(target=watch, name="fence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
