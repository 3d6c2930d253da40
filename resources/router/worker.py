"""The entry of a step's process: `python -m resources.router.worker api execute_step`, in a pod or beside the run.

It executes the step as `dagster api execute_step` does, with its arguments, output and exit codes. What differs for a
step that a router launched is in `execution.py`. Dagster is imported late: a process that receives SIGTERM while it
still imports has begun nothing, and ends at once.
"""

import contextlib
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from types import FrameType

COMMAND = ("api", "execute_step")
LINGER = "linger"  # before the command, with the Job's name and seconds: the worker accepts further steps
USAGE = 2  # the exit code of a wrong command line
ENTRY = ("-m", "resources.router.worker")  # arguments of the interpreter before the command


def main(arguments: Sequence[str]) -> None:
    """Executes the step that the arguments, or Dagster's variable for them, describe; ends the process.

    Args:
        arguments: `api execute_step` and the arguments of that command of Dagster; `linger JOB SECONDS` before it.
    """
    signal.signal(signal.SIGTERM, _go)
    expect_beta()
    if arguments[:1] == [LINGER] and tuple(arguments[3:5]) == COMMAND:
        linger_s = _seconds(arguments[2])
        from resources.router.lingering import linger

        sys.exit(linger(arguments[5:], job=arguments[1], linger_s=linger_s))
    if tuple(arguments[:2]) != COMMAND:
        sys.stderr.write(f"found {' '.join(arguments[:2]) or 'no command'!r} (allowed: {' '.join(COMMAND)!r})\n")
        sys.exit(USAGE)
    is_terminating = watch_for_sigterm()
    from resources.router.execution import execute_step

    sys.exit(execute_step(arguments[2:], is_terminating=is_terminating))


def _seconds(text: str) -> float:
    """The seconds of the command line; ends the process where the text is not such a number."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        sys.stderr.write(f"found {text!r} seconds after {LINGER!r} (allowed: a number from 0 on); pass such a number\n")
        sys.exit(USAGE)
    return seconds


def expect_beta() -> None:
    """Hides warnings about the beta parts of Dagster, whose version is pinned.

    A failure shows the last lines of its pod's log, which would otherwise be such warnings alone.
    """
    warnings.filterwarnings("ignore", message=".* is currently in beta")  # by its text: Dagster is not imported yet


def _go(number: int, _: FrameType | None) -> None:
    """Ends a process that has begun nothing, with the exit code of its signal."""
    os._exit(128 + number)


def watch_for_sigterm() -> Callable[[], bool]:
    """Returns a function that returns whether SIGTERM came, also after later handlers; not for forked processes."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    came = bytearray()

    def is_terminating() -> bool:
        with contextlib.suppress(BlockingIOError):  # no signal came
            came.extend(os.read(reader, 4096))
        return signal.SIGTERM in came

    return is_terminating


if __name__ == "__main__":
    main(sys.argv[1:])
