"""The entry of a step's process: `python -m resources.router.worker api execute_step`, in a pod or beside the run.

It executes the step as `dagster api execute_step` does, with its arguments, output and exit codes. What is particular
to a step that a router launched belongs here. Dagster is imported late: a process that is told to end while it still
imports has begun nothing, and goes at once.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

COMMAND = ("api", "execute_step")
USAGE = 2  # the exit code of a wrong command line
ENTRY = ("-m", "resources.router.worker")  # what an interpreter is given, before the command and its arguments


def main(arguments: Sequence[str]) -> None:
    """Executes the step that the arguments, or Dagster's variable for them, describe; ends the process.

    Args:
        arguments: `api execute_step` and what Dagster's command of that name takes.
    """
    signal.signal(signal.SIGTERM, _go)
    if tuple(arguments[:2]) != COMMAND:
        sys.stderr.write(f"found {' '.join(arguments[:2]) or 'no command'!r} (allowed: {' '.join(COMMAND)!r})\n")
        sys.exit(USAGE)
    from dagster._cli.api import execute_step_command

    execute_step_command.main(args=list(arguments[2:]), prog_name=" ".join(COMMAND))


def _go(number: int, _: FrameType | None) -> None:
    """Ends a process that has begun nothing, with the code of its signal."""
    os._exit(128 + number)


if __name__ == "__main__":
    main(sys.argv[1:])
