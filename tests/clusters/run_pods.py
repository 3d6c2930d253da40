"""The pods of a simulated run itself: one to the end, one that is killed or drained and replaced, or two at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, zip_longest
from types import SimpleNamespace
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.execution.api import execute_run, execute_run_iterator
from dagster._core.execution.plan import active
from dagster._core.executor.step_delegating import step_delegating_executor as loop
from dagster._time import datetime_from_timestamp

from resources.router.handler import RegionStepHandler

if TYPE_CHECKING:
    from tests.clusters.simulation import Simulation


class KilledError(BaseException):
    """The run's own process is gone."""


@contextmanager
def virtual_clock(simulation: "Simulation") -> Iterator[None]:
    """Dagster's executor reads the clock of the simulation, and is interrupted where the simulation is."""
    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(time=simulation.now, sleep=simulation.sleep)
        patch.setattr(loop, "time", clock)
        patch.setattr(loop, "get_current_datetime", lambda: datetime_from_timestamp(simulation.time_s))
        patch.setattr(active, "time", clock)
        patch.setattr(active, "pop_captured_interrupt", lambda: simulation.is_canceled or simulation.is_drained)
        patch.setattr(DagsterInstance, "run_will_resume", lambda *_: simulation.may_resume or simulation.is_drained)
        yield


def execute(simulation: "Simulation", run: dg.DagsterRun) -> None:
    """Executes a run in as many run pods as the faults of the simulation leave it."""
    if simulation.joined_after is not None:
        _execute_in_two_pods(simulation, run, simulation.joined_after)
        return
    if simulation.drained_after_s is not None:
        _execute_until_drained(simulation, run)
    elif simulation.dies_after_s is not None:
        _execute_until_killed(simulation, run)
    else:
        execute_run(simulation.job, run, simulation.instance)
        return
    left = simulation.instance.get_run_by_id(simulation.run_id)
    if left is not None and not left.is_finished:
        for _ in execute_run_iterator(simulation.job, left, simulation.instance, resume_from_failure=True):
            pass


def _execute_in_two_pods(simulation: "Simulation", run: dg.DagsterRun, joined_after: int) -> None:
    """What happens where the run pod on a node that its cluster has lost works on beside the pod that took over."""
    job, instance = simulation.job, simulation.instance
    first = execute_run_iterator(job, run, instance)
    for _ in islice(first, joined_after):
        pass
    left = instance.get_run_by_id(simulation.run_id)
    assert left is not None
    second = execute_run_iterator(job, left, instance, resume_from_failure=True)
    for _ in zip_longest(first, second):  # each goes on to its next event, in turn
        pass


def _execute_until_killed(simulation: "Simulation", run: dg.DagsterRun) -> None:
    """What a run pod does until it is killed: from then on it writes nothing and cleans nothing up."""
    with pytest.MonkeyPatch.context() as patch:

        def die() -> None:
            patch.setattr(DagsterInstance, "handle_new_event", lambda *_, **__: None)
            patch.setattr(RegionStepHandler, "finish", lambda *_: None)
            patch.setattr(RegionStepHandler, "terminate_step", lambda *_: iter(()))
            raise KilledError

        simulation.at("the run's pod is killed", die, after_s=simulation.dies_after_s)
        execute_run(simulation.job, run, simulation.instance, raise_on_error=False)


def _execute_until_drained(simulation: "Simulation", run: dg.DagsterRun) -> None:
    """What a run pod does that is told to end, though nobody canceled its run."""

    def drain() -> None:
        simulation.is_drained = True

    simulation.at("the run's pod is drained", drain, after_s=simulation.drained_after_s)
    execute_run(simulation.job, run, simulation.instance, raise_on_error=False)
    simulation.is_drained = False
