"""The entry of a step's process: `python -m resources.router.worker api execute_step`, in a pod or beside the run.

It executes the step as `dagster api execute_step` does, with its arguments, output and exit codes. What is particular
to a step that a router launched is in `execution.py`. Dagster is imported late: a process that is told to end while it
still imports has begun nothing, and goes at once.
"""

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from types import FrameType

COMMAND = ("api", "execute_step")
LINGER = "linger"  # before the command, with the Job's name and seconds: the worker takes further steps
USAGE = 2  # the exit code of a wrong command line
ENTRY = ("-m", "resources.router.worker")  # what an interpreter is given, before the command and its arguments


def main(arguments: Sequence[str]) -> None:
    """Executes the step that the arguments, or Dagster's variable for them, describe; ends the process.

    Args:
        arguments: `api execute_step` and what Dagster's command of that name takes; `linger JOB SECONDS` before it.
    """
    signal.signal(signal.SIGTERM, _go)
    expect_beta()
    if arguments[:1] == [LINGER] and tuple(arguments[3:5]) == COMMAND:
        from resources.router.lingering import linger

        sys.exit(linger(arguments[5:], job=arguments[1], linger_s=float(arguments[2])))
    if tuple(arguments[:2]) != COMMAND:
        sys.stderr.write(f"found {' '.join(arguments[:2]) or 'no command'!r} (allowed: {' '.join(COMMAND)!r})\n")
        sys.exit(USAGE)
    is_told_to_end = watch_for_sigterm()
    from resources.router.execution import execute_step

    sys.exit(execute_step(arguments[2:], is_told_to_end=is_told_to_end))


def expect_beta() -> None:
    """Keeps quiet about the beta parts of Dagster that this house is pinned to.

    A failure shows the last lines of its pod's log, and these were nothing but such warnings.
    """
    warnings.filterwarnings("ignore", message=".* is currently in beta")  # by its words: Dagster is not imported yet


def _go(number: int, _: FrameType | None) -> None:
    """Ends a process that has begun nothing, with the code of its signal."""
    os._exit(128 + number)


def watch_for_sigterm() -> Callable[[], bool]:
    """What says whether SIGTERM came, whoever has set a handler for it since; not to processes forked from this one."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    came = bytearray()

    def is_told_to_end() -> bool:
        with contextlib.suppress(BlockingIOError):  # nothing came
            came.extend(os.read(reader, 4096))
        return signal.SIGTERM in came

    return is_told_to_end


if __name__ == "__main__":
    main(sys.argv[1:])
