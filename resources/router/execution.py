"""Executes one step in this process, as `dagster api execute_step` does, with the fence of its attempt."""

import base64
import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dagster import DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from resources.dagster_private import (
    DagsterExecutionInterruptedError,
    ExecuteStepArgs,
    _execute_step_command_body,
    capture_interrupts,
    deserialize_value,
    execute_step_command,
    get_instance_for_cli,
    serialize_value,
)
from resources.router.database import wait_for_database
from resources.router.fence import JOB_VARIABLE, Fence, fenced
from resources.router.memory import kills_from_now_on

TERMINATED_CODE = 128 + signal.SIGTERM  # the exit code of a step that received SIGTERM
KILLED = 128 + signal.SIGKILL  # the exit code of a step that fails after the kernel killed a process of its pod
WATCH_S = 20  # between two checks whether the run still needs the step
GRACE_S = 30  # for a step to end after SIGTERM from the watch thread


def execute_step(arguments: Sequence[str], *, is_terminating: Callable[[], bool]) -> int:
    """Executes the step that the arguments, or Dagster's variable for them, describe; returns the exit code.

    Args:
        arguments: those of `dagster api execute_step`.
        is_terminating: whether the process received SIGTERM.
    """
    wait_for_database()
    args = step_arguments(arguments)
    with capture_interrupts(), get_instance_for_cli(instance_ref=args.instance_ref) as instance:
        fence = fence_of(args, instance, is_terminating=is_terminating)
        try:
            return run_step(args, fence)
        except DagsterExecutionInterruptedError:
            return 0 if fence.closed else TERMINATED_CODE  # the watch thread ends a worker that its run no longer needs


def run_step(args: ExecuteStepArgs, fence: Fence) -> int:
    """Executes a step in the instance of its fence, unless the fence is closed; returns the exit code.

    Raises:
        DagsterExecutionInterruptedError: the process received SIGTERM; its events are written.
    """
    run = fence.instance.get_run_by_id(args.run_id)
    if run is None or fence.check():
        sys.stderr.write(f"the step does not start: {fence.closed or 'its run is deleted'}\n")
        return 0
    with fenced(fence), _watched(fence):
        for event in _execute_step_command_body(args, fence.instance, run):
            if args.print_serialized_events:
                sys.stdout.write(f"{serialize_value(event)}\n")
    if fence.is_out_of_memory:
        return KILLED
    return TERMINATED_CODE if fence.is_interrupted else 0


def step_arguments(arguments: Sequence[str]) -> ExecuteStepArgs:
    """The step's arguments from the command line or Dagster's variables, in the format of Dagster's command."""
    given = execute_step_command.make_context("api execute_step", list(arguments)).params
    packed, plain = given["compressed_input_json"], given["input_json"]
    text = zlib.decompress(base64.b64decode(packed)).decode() if packed else plain
    return deserialize_value(text, ExecuteStepArgs)


def fence_of(args: ExecuteStepArgs, instance: DagsterInstance, *, is_terminating: Callable[[], bool]) -> Fence:
    """The fence of the attempt that the arguments describe, in the pod of this process."""
    (step_key,) = args.step_keys_to_execute or ()
    number = args.known_state.get_retry_state().get_attempt_count(step_key) if args.known_state else 0
    job = os.environ.get(JOB_VARIABLE, "")
    fence = Fence(instance, args.run_id, step_key, number, job=job, is_terminating=is_terminating)
    if job:  # without a Job the cgroup is that of the run's pod, where other steps run
        fence.has_lost_a_process = kills_from_now_on()
    return fence


@contextmanager
def _watched(fence: Fence) -> Iterator[None]:
    """Within the body, a thread ends the process when the run drops the attempt: its Job may be unreachable."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_S) and not fence.is_through:
            try:
                closed = fence.check()
            except (SQLAlchemyError, OSError):
                continue  # the database does not respond now; the next commit checks again
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
