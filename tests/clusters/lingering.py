"""A simulated worker that stays after its step and takes those that are offered, as `resources/router/lingering.py`."""

from collections.abc import Callable
from typing import Any

from dagster import DagsterEventType
from dagster._grpc.types import ExecuteStepArgs
from dagster_shared.record import replace

from resources.router.hand_overs import Offers
from resources.router.worker import LINGER


class LingeringProcess:
    """The first process of a pod in a simulation: one step's process after another.

    Args:
        simulation: of which it is.
        arguments: of the container.
        step: makes the process of the step that the container is told, or of these arguments.
    """

    def __init__(self, simulation: Any, arguments: list[str], step: Callable[..., Any]) -> None:
        at = arguments.index(LINGER)
        self._offers, self._linger_s = Offers(arguments[at + 1]), float(arguments[at + 2])
        self._simulation, self._make, self._step = simulation, step, step()
        self._idle_since: float | None = None
        self._is_terminating = False
        self._code: int | None = None

    @property
    def reason(self) -> str:
        return str(self._step.reason)

    def poll(self) -> int | None:
        if self._code is None and self._idle_since is None:
            code = self._step.poll()
            if code == 0 and not self._is_terminating and self._has_succeeded():
                self._idle_since = self._simulation.now()
            else:
                self._code = code
        if self._code is None and self._idle_since is not None:
            self._look()
        return self._code

    def terminate(self) -> None:
        self._is_terminating = True
        if self._idle_since is None:
            self._step.terminate()
        elif self._code is None:
            self._code = 0

    def kill(self) -> None:
        self._step.kill()
        self._code = 137 if self._code is None else self._code

    def log(self) -> str:
        return str(self._step.log())

    def _look(self) -> None:
        instance, args = self._simulation.instance, self._step.args
        run = instance.get_run_by_id(args.run_id)
        found = self._offers.take(instance, run)
        if found is not None:
            next_args: ExecuteStepArgs = replace(
                args, step_keys_to_execute=[found.step_key], known_state=found.unpacked()
            )
            self._step, self._idle_since = self._make(next_args), None
        elif self._offers.is_over or self._simulation.now() - self._idle_since >= self._linger_s:
            self._code = 0

    def _has_succeeded(self) -> bool:
        """Whether the newest word of the step's own is that it succeeded."""
        log = self._simulation.instance.all_logs(self._step.args.run_id, of_type=DagsterEventType.STEP_SUCCESS)
        return any(entry.dagster_event.step_key == self._step.step_key for entry in log)
