"""A worker that stays for a while after its step: the next steps of its run that are offered to it begin at once.

`python -m resources.router.worker linger JOB SECONDS api execute_step`. The first process imports Dagster and the code
location, and does nothing else: it opens no database and starts no thread. Each step is executed by a process forked of
it, which opens the event log, waits for an offer if its step is not known yet, executes, and ends, with its memory, its
threads and its exit code. A pod whose step failed, or which was told to end, takes no other step.
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
from dagster._cli.utils import get_instance_for_cli
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import ConfigurableClassData
from dagster._utils.hosted_user_process import recon_repository_from_origin
from dagster._utils.interrupts import capture_interrupts
from dagster_shared.record import replace

from resources.router.execution import TOLD_TO_END, fence_of, run_step, step_arguments
from resources.router.hand_overs import HandOver, Offers
from resources.router.worker import watch_for_sigterm

PRELOADED = ("pandas", "upath")  # what nearly every step imports sooner or later: 0.4 s of a core in each process
LOOK_S = 0.2  # between two looks for an offer: what a step waits for its worker, at most


@dataclass(frozen=True)
class Left:
    """What a step's process leaves to the next one.

    Attributes:
        goes_on: its step succeeded, so that another may follow.
        offers: what was offered to the pod, as far as the log was read; as JSON has it.
    """

    goes_on: bool
    offers: dict[str, Any]


class StepServer:
    """The first process of a pod: forks one process after another, hands signals on, and ends as the last of them."""

    def __init__(self, args: ExecuteStepArgs, *, job: str, linger_s: float) -> None:
        self._args, self._job, self._linger_s = args, job, linger_s
        self._child = 0
        self._is_told_to_end = False

    def serve(self) -> int:
        """Executes the steps; the exit code."""
        signal.signal(signal.SIGTERM, self._hand_on)
        import_location(self._args)
        gc.collect()
        gc.freeze()  # what is imported is shared with all steps' processes: none of them writes to it
        code, left = self._fork(None)
        while code == 0 and left is not None and left.goes_on and not self._is_told_to_end:
            code, left = self._fork(left)
        return code

    def _fork(self, before: Left | None) -> tuple[int, Left | None]:
        """One step's process, to its end: its exit code, and what it leaves."""
        source, target = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # a child that is not known cannot be told to end
        self._child = os.fork()
        if self._child == 0:
            os.close(source)
            self._be_a_step(before, target)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        os.close(target)
        with os.fdopen(source) as pipe:
            said = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        self._child = 0
        return (128 - code if code < 0 else code), (Left(**json.loads(said)) if said else None)

    def _hand_on(self, number: int, _: FrameType | None) -> None:
        self._is_told_to_end = True
        if self._child:
            os.kill(self._child, number)
        else:  # it still imports, or is between two steps: nothing is begun
            os._exit(128 + number)

    def _be_a_step(self, before: Left | None, target: int) -> None:
        """What a forked process does; it does not return."""
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
        finally:  # threads that the step left end with it: nothing waits for them
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _step(self, before: Left | None) -> tuple[int, Left]:
        """Executes the pod's first step, or the next one that is offered: its exit code, and what it leaves."""
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
    """Executes the step that the arguments describe, then those that are offered; the exit code.

    Args:
        arguments: as of `dagster api execute_step`.
        job: name of the pod's Job.
        linger_s: how many seconds to wait for an offer.
    """
    return StepServer(step_arguments(arguments), job=job, linger_s=linger_s).serve()


def import_location(args: ExecuteStepArgs) -> None:
    """Imports the code location, the modules of the instance's storages, and what most steps need; opens nothing."""
    for name in PRELOADED:
        import_module(name)
    home = os.environ.get("DAGSTER_HOME")
    for kept in args.instance_ref or (InstanceRef.from_dir(home) if home else ()):
        if isinstance(kept, ConfigurableClassData):
            import_module(kept.module_name)
    recon_repository_from_origin(args.job_origin.repository_origin).get_definition()


def execute(args: ExecuteStepArgs, instance: DagsterInstance) -> tuple[int, bool]:
    """Executes a step within its fence: its exit code, and whether it succeeded."""
    is_told_to_end = watch_for_sigterm()
    with capture_interrupts():
        fence = fence_of(args, instance, is_told_to_end=is_told_to_end)
        try:
            code = run_step(args, fence)
        except DagsterExecutionInterruptedError:
            return TOLD_TO_END, False
    ended = instance.all_logs(args.run_id, of_type=DagsterEventType.STEP_SUCCESS)
    return code, any(
        entry.dagster_event is not None and entry.dagster_event.step_key == fence.step_key for entry in ended
    )


def wait_for_offer(instance: DagsterInstance, run: DagsterRun, offers: Offers, *, linger_s: float) -> HandOver | None:
    """The next step of this worker, taken; None if none is offered in time, or there will be none."""
    until = time.monotonic() + linger_s
    while True:
        offers.read(instance, run.run_id)
        if offers.open:
            signal.signal(signal.SIGTERM, _go)  # from here on it has a step, which another attempt makes up for
            found = offers.take(instance, run)
            if found is not None:
                return found
            signal.signal(signal.SIGTERM, _go_idle)
        if offers.is_over or time.monotonic() >= until:
            return None
        time.sleep(LOOK_S)


def packed(offers: Offers) -> dict[str, Any]:
    """Offers as JSON has them."""
    return {
        "read_to": offers.read_to,
        "open": [asdict(one) for one in offers.open.values()],
        "closed": [*offers.closed],
    }


def unpacked(job: str, said: dict[str, Any]) -> Offers:
    """Offers as `packed` made them; none that were read, of an empty one."""
    found = [HandOver(**one) for one in said.get("open", ())]
    return Offers(job, said.get("read_to", 0), {one.id: one for one in found}, set(said.get("closed", ())))


def _go(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


def _go_idle(number: int, _: FrameType | None) -> None:
    """A worker without a step that is told to end ends well: nothing is undone."""
    os._exit(0)
