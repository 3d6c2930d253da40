"""Cheap steps: run as a process beside the run instead of in a pod, since a pod takes ten seconds to start."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dagster import DagsterEvent, MetadataValue

from resources.dagster_private import StepHandlerContext
from resources.router.endings import ERROR, KILLED, LOG_LINES, NO_VERDICT, Ending
from resources.router.jobs import worker_command
from resources.router.reading import KILL_CODES

ROOT = Path(__file__).parents[2]
GRACE_S = 20  # for a step to end after SIGTERM


@dataclass(frozen=True)
class _Worker:
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]


class LocalSteps:
    """The processes of this run's cheap steps, one for each step."""

    def __init__(self) -> None:
        self._workers: dict[str, _Worker] = {}
        self._leaving: list[_Worker] = []

    def launch(self, context: StepHandlerContext, step_key: str) -> Iterator[DagsterEvent]:
        """Starts the step's process."""
        args = context.execute_step_args
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it is the process's as long as that lives
        yield DagsterEvent.step_worker_starting(
            context.get_step_context(step_key),
            message=f'Executing step "{step_key}" in a process beside the run: it is cheap.',
            metadata={"place": MetadataValue.text("beside the run")},
        )
        process = subprocess.Popen(
            worker_command(sys.executable, args.get_command_args(skip_serialized_namedtuple=True)),
            env={**_environment(), **{one["name"]: one["value"] for one in args.get_command_env()}},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._workers[step_key] = _Worker(process, log)

    def ending(self, step_key: str) -> Ending | None:
        """How the step's process ended; None while it runs."""
        worker = self._workers.get(step_key)
        if worker is None:
            return Ending(NO_VERDICT, "its process beside the run ended with an earlier run pod")
        code = worker.process.poll()
        if code is None:
            return None
        reason = NO_VERDICT if code == 0 else KILLED if code < 0 or code in KILL_CODES else ERROR
        return Ending(reason, f"its process beside the run ended with code {code}", _last_lines(worker.log))

    def end(self, step_key: str) -> None:
        """Sends SIGTERM to the step's process, if it still runs."""
        worker = self._workers.get(step_key)
        if worker is not None and worker.process.poll() is None:
            worker.process.send_signal(signal.SIGTERM)
        self.leave(step_key)

    def leave(self, step_key: str) -> None:
        """Releases a process whose step wrote its final event, or which received SIGTERM."""
        worker = self._workers.pop(step_key, None)
        if worker is not None:
            self._leaving.append(worker)

    def finish(self) -> None:
        """Waits for processes that are ending, and kills those that do not end."""
        for worker in self._leaving:
            try:
                worker.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.log.close()
        self._leaving.clear()


def _environment() -> dict[str, str]:
    """The environment of this process, extended so that the worker's module is found from any folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def _last_lines(log: IO[bytes]) -> tuple[str, ...]:
    log.seek(0)
    return tuple(log.read().decode(errors="replace").splitlines()[-LOG_LINES:])
