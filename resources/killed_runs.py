"""Marks runs as failed whose process no longer exists, so that nothing waits for them and their slots are free again.

Dagster leaves a run STARTED when its process and the daemon end together, as in a reboot. Two such runs fill
`max_concurrent_runs` for ever. A run of `sinet run` has its process id in a tag. A run that the daemon started on this
machine has the address of its code server in a tag, and its process id in its event log. Runs of clusters are left to
Dagster's run monitoring, which queries the cluster.
"""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import psutil

from resources.dagster_private import GRPC_INFO_TAG, DagsterEventType
from sinet_pipelines.processes import environment_of

RUN_TAG = "sinet/run"
PID_TAG = ".dagster/sinet_pid"  # the UI hides tags with this prefix
STARTED_TAG = ".dagster/sinet_process_started"
HOME_TAG = ".dagster/sinet_home"  # a copied home has the runs of the original, whose processes are not its own
LOCAL = ("localhost", "127.0.0.1")
STARTED_MESSAGE = "Started process for run (pid: "  # the first event of a run's process; its metadata has the pid
CLOCK_S = 5.0  # a process that started later than this after the first event is another one with the same id
CONNECT_S = 2.0
#: Statuses of a run that has, or soon has, a process.
AT_WORK = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def end_killed_runs(instance: dg.DagsterInstance, home: Path, *, executor: str = "in_process") -> list[str]:
    """Ends runs of a home whose process is certainly gone; returns their ids.

    Args:
        instance: the instance with the runs.
        home: a run whose process works for another home is not alive here.
        executor: of the deployment; with `regions`, only runs that a command started have a process here.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=AT_WORK)):
        gone = _what_is_gone(instance, run, home, executor)
        now = instance.get_run_by_id(run.run_id) if gone else None
        if now is None or now.is_finished:  # it ended by itself meanwhile
            continue
        if now.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, f"{gone} before it was cancelled")
        else:
            instance.report_run_failed(now, f"{gone}; the next run makes what is left")
        ended.append(run.run_id)
    return ended


def killed_runs(instance: dg.DagsterInstance, home: Path, *, executor: str = "in_process") -> list[str]:
    """The ids of the runs that `end_killed_runs` would end; nothing is written."""
    runs = instance.get_runs(dg.RunsFilter(statuses=AT_WORK))
    return [run.run_id for run in runs if _what_is_gone(instance, run, home, executor)]


def free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    """Frees pool slots that ended runs hold: a killed run frees none, and the next run would wait for them."""
    storage = instance.event_log_storage
    pools = [storage.get_concurrency_info(pool) for pool in storage.get_concurrency_keys()]
    holders = {slot.run_id for pool in pools for slot in pool.claimed_slots}
    for run_id in sorted(holders | storage.get_concurrency_run_ids()):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


def process_tags(home: str) -> dict[str, str]:
    """Tags of a run that this process executes, from which a later command can detect a kill."""
    process = psutil.Process()
    return {
        RUN_TAG: "true",
        PID_TAG: str(process.pid),
        STARTED_TAG: f"{process.create_time():.2f}",
        HOME_TAG: home,
    }


def _what_is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun, home: Path, executor: str) -> str:
    """What a run lost, as the first part of a sentence; empty while it may still be in progress."""
    is_ours = run.tags.get(RUN_TAG) == "true" and run.parent_run_id is None  # a re-execution belongs to the daemon
    if is_ours:
        return "" if _lives(run.tags, home) else "its process was killed"
    if executor == "regions" or not _is_served_here(run.tags) or _is_served(run.tags):
        return ""
    started = _process_of(instance, run.run_id)
    if started is None:
        return "its code server is gone, and its process was never started"
    pid, at = started
    return "" if _is_at_work(pid, at, home) else f"its process {pid} is gone, and so is its code server"


def _lives(tags: Mapping[str, str], home: Path) -> bool:
    if tags.get(HOME_TAG, str(home)) != str(home):
        return False
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        return f"{process.create_time():.2f}" == tags[STARTED_TAG] and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, KeyError):
        return False


def _server_of(tags: Mapping[str, str]) -> dict[str, object]:
    try:
        found = json.loads(tags.get(GRPC_INFO_TAG, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_served_here(tags: Mapping[str, str]) -> bool:
    """Whether a code server of this machine had to start the run's process."""
    return _server_of(tags).get("host") in LOCAL


def _is_served(tags: Mapping[str, str]) -> bool:
    """Whether that code server still responds: it monitors the processes that it started."""
    server = _server_of(tags)
    is_named = "socket" in server
    with socket.socket(socket.AF_UNIX if is_named else socket.AF_INET) as probe:
        probe.settimeout(CONNECT_S)
        address = str(server["socket"]) if is_named else ("127.0.0.1", int(str(server.get("port", 0))))
        try:
            probe.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # a full queue or a time-out: the server exists
    return True


def _process_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The pid of a run's process, and the time of its first event (seconds since 1970); None if it has none."""
    for entry in reversed(instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)):
        event = entry.dagster_event
        if event is not None and (event.message or "").startswith(STARTED_MESSAGE):
            return int((event.message or "").removeprefix(STARTED_MESSAGE).split(")")[0]), entry.timestamp
    return None


def _is_at_work(pid: int, at: float, home: Path) -> bool:
    """Whether the process that had this pid at that time is alive and works for this home."""
    try:
        process = psutil.Process(pid)
        if process.create_time() > at + CLOCK_S or process.status() == psutil.STATUS_ZOMBIE:
            return False
        served = Path(environment_of(process).get("SINET_HOME", home))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return served == home or not served.exists()  # a moved home no longer has its old path
