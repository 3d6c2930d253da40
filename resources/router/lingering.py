"""A worker that stays for a while after its step: the next steps of its run that are offered to it begin at once.

`python -m resources.router.worker linger JOB SECONDS api execute_step`. The first process imports Dagster and the code
location and does nothing else: it opens no database and starts no thread. For each step it forks a process. That
process opens the event log, waits for an offer if it has no step yet, executes the step, and ends with its memory, its
threads and its exit code. A pod whose step failed, or which received SIGTERM, accepts no other step.
"""

import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from types import FrameType
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRun
from dagster_shared.record import replace

from resources.dagster_private import (
    ConfigurableClassData,
    DagsterExecutionInterruptedError,
    ExecuteStepArgs,
    InstanceRef,
    capture_interrupts,
    get_instance_for_cli,
    recon_repository_from_origin,
)
from resources.router.database import wait_for_database
from resources.router.execution import TERMINATED_CODE, fence_of, run_step, step_arguments
from resources.router.hand_overs import HandOver, Offers
from resources.router.worker import watch_for_sigterm

PRELOADED = ("pandas", "upath")  # imported by nearly every step: 0.4 s of a core in each process
LOOK_S = 0.2  # between two checks for an offer: the longest wait of a step for its worker


@dataclass(frozen=True)
class Left:
    """State that a step's process passes to the next one.

    Attributes:
        goes_on: whether its step succeeded, so that another may follow.
        offers: the offers to the pod, as far as the event log was read; in JSON form.
    """

    goes_on: bool
    offers: dict[str, Any]


class StepServer:
    """The first process of a pod: forks one process after another, forwards signals, and returns the last exit code."""

    def __init__(self, args: ExecuteStepArgs, *, job: str, linger_s: float) -> None:
        self._args, self._job, self._linger_s = args, job, linger_s
        self._child = 0
        self._is_terminating = False

    def serve(self) -> int:
        """Executes the steps; returns the exit code."""
        signal.signal(signal.SIGTERM, self._hand_on)
        import_location(self._args)
        gc.collect()
        gc.freeze()  # the processes of all steps share the imported modules: the collector must not write to them
        code, left = self._fork(None)
        while code == 0 and left is not None and left.goes_on and not self._is_terminating:
            code, left = self._fork(left)
        return code

    def _fork(self, before: Left | None) -> tuple[int, Left | None]:
        """Runs one step's process to its end; returns its exit code, and the state for the next one."""
        source, target = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # no signal can reach a child without a known pid
        self._child = os.fork()
        if self._child == 0:
            os.close(source)
            self._be_a_step(before, target)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        os.close(target)
        with os.fdopen(source) as pipe:
            written = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        self._child = 0
        return (128 - code if code < 0 else code), (Left(**json.loads(written)) if written else None)

    def _hand_on(self, number: int, _: FrameType | None) -> None:
        self._is_terminating = True
        if self._child:
            os.kill(self._child, number)
        else:  # it still imports, or is between two steps: no step is in progress
            os._exit(128 + number)

    def _be_a_step(self, before: Left | None, target: int) -> None:
        """The body of a forked process; it does not return."""
        code = 1
        try:
            signal.signal(signal.SIGTERM, _go if before is None else _go_idle)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            code, left = self._step(before)
            os.write(target, json.dumps(asdict(left)).encode())
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - nobody is above it to raise to: a forked process reports and ends
            traceback.print_exc()
        finally:  # threads that the step left end with the process: nothing waits for them
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _step(self, before: Left | None) -> tuple[int, Left]:
        """Executes the first step or the next offered one; returns its exit code, and the state for the next one."""
        with get_instance_for_cli(instance_ref=self._args.instance_ref) as instance:
            if before is None:
                code, goes_on = execute(self._args, instance)
                return code, Left(goes_on, {})
            run, offers = instance.get_run_by_id(self._args.run_id), unpacked(self._job, before.offers)
            found = wait_for_offer(instance, run, offers, linger_s=self._linger_s) if run is not None else None
            if found is None:
                return 0, Left(False, {})
            args = replace(self._args, step_keys_to_execute=[found.step_key], known_state=found.unpacked())
            os.environ["DAGSTER_RUN_STEP_KEY"] = found.step_key
            code, goes_on = execute(args, instance)
            return code, Left(goes_on, packed(offers))


def linger(arguments: Sequence[str], *, job: str, linger_s: float) -> int:
    """Executes the step that the arguments describe, then those that are offered; returns the exit code.

    Args:
        arguments: those of `dagster api execute_step`.
        job: name of the pod's Job.
        linger_s: how many seconds to wait for an offer.
    """
    wait_for_database()
    return StepServer(step_arguments(arguments), job=job, linger_s=linger_s).serve()


def import_location(args: ExecuteStepArgs) -> None:
    """Imports the code location, the modules of the instance's storages, and modules that most steps use."""
    for name in PRELOADED:
        import_module(name)
    home = os.environ.get("DAGSTER_HOME")
    for kept in args.instance_ref or (InstanceRef.from_dir(home) if home else ()):
        if isinstance(kept, ConfigurableClassData):
            import_module(kept.module_name)
    recon_repository_from_origin(args.job_origin.repository_origin).get_definition()


def execute(args: ExecuteStepArgs, instance: DagsterInstance) -> tuple[int, bool]:
    """Executes a step within its fence; returns its exit code, and whether it succeeded."""
    is_terminating = watch_for_sigterm()
    with capture_interrupts():
        fence = fence_of(args, instance, is_terminating=is_terminating)
        try:
            code = run_step(args, fence)
        except DagsterExecutionInterruptedError:
            return TERMINATED_CODE, False
    ended = instance.all_logs(args.run_id, of_type=DagsterEventType.STEP_SUCCESS)
    return code, any(
        entry.dagster_event is not None and entry.dagster_event.step_key == fence.step_key for entry in ended
    )


def wait_for_offer(instance: DagsterInstance, run: DagsterRun, offers: Offers, *, linger_s: float) -> HandOver | None:
    """Takes the next step for this worker; None if none is offered in time, or there will be none."""
    until = time.monotonic() + linger_s
    while True:
        offers.read(instance, run.run_id)
        if offers.open:
            signal.signal(signal.SIGTERM, _go)  # from here on it has a step; if it ends, another attempt repeats that
            found = offers.take(instance, run)
            if found is not None:
                return found
            signal.signal(signal.SIGTERM, _go_idle)
        if offers.is_over or time.monotonic() >= until:
            return None
        time.sleep(LOOK_S)


def packed(offers: Offers) -> dict[str, Any]:
    """Offers in JSON form."""
    return {
        "read_to": offers.read_to,
        "open": [asdict(one) for one in offers.open.values()],
        "closed": [*offers.closed],
    }


def unpacked(job: str, packed: dict[str, Any]) -> Offers:
    """Offers from their form by `packed`; without any that were read, from an empty one."""
    found = [HandOver(**one) for one in packed.get("open", ())]
    return Offers(job, packed.get("read_to", 0), {one.id: one for one in found}, set(packed.get("closed", ())))


def _go(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


def _go_idle(number: int, _: FrameType | None) -> None:
    """A worker without a step exits with success on SIGTERM: there is nothing to repeat."""
    os._exit(0)
