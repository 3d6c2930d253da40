"""Restarts a model server when its process ends unexpectedly: `python -m sinet_pipelines.deployment.supervisor FOLDER`.

Each endpoint on this machine has one supervisor, which `process.py` starts with the server. It waits for the end of the
process that `current.json` names. Where this file is gone, the endpoint was stopped, and the supervisor ends too. It
imports little, so that it uses little memory; a restart runs in a process of its own.
"""

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sinet_pipelines.deployment.endpoint import Endpoint, is_alive, read_current
from sinet_pipelines.deployment.environment import server_environment
from sinet_pipelines.errors import BusyError, SinetError
from sinet_pipelines.storage.locks import held, is_held

LOCK_FILE = "supervisor.lock"
LOG_FILE = "restarts.log"
LOG_BYTES = 100_000  # a larger log is emptied: a server that ends again and again must not fill the disk
LOOK_S = 5.0  # between two reads of current.json while the server runs
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 30.0  # pauses before restarts after the first, doubled each time
STABLE_S = 60.0  # a server that ran longer than this is restarted without a pause
LOCK_S = 0.5  # time limit for the lock, which others hold for a moment to check whether it is held


def supervise(folder: Path) -> None:
    """Starts a supervisor of the endpoint, unless there is one. The supervisor outlives this process."""
    if is_held(folder / LOCK_FILE):
        return
    subprocess.Popen(
        [sys.executable, "-P", "-m", "sinet_pipelines.deployment.supervisor", str(folder.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=server_environment(),
        start_new_session=True,
    ).returncode = 0  # it outlives this process; without this `Popen` warns


def watch(folder: Path) -> None:
    """Restarts the server until the endpoint is stopped; returns at once where the endpoint has a supervisor."""
    # read again after each release of the lock, since the endpoint may have been started again
    while read_current(folder) is not None:
        try:
            with held(folder / LOCK_FILE, wait_s=LOCK_S):
                _watch_alone(folder)
        except BusyError:
            return


def _watch_alone(folder: Path) -> None:
    pause_s = 0.0
    while (named := read_current(folder)) is not None:
        since = time.monotonic()
        _await_end(named, folder)
        if read_current(folder) != named:
            continue  # stopped, or replaced by another server
        if time.monotonic() - since > STABLE_S:
            pause_s = 0.0
        time.sleep(pause_s)
        _log(folder, f"process {named.pid} of version {named.version} ended unexpectedly")
        _log(folder, _restart(folder) or "the endpoint was stopped")
        pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LAST_PAUSE_S)


def _restart(folder: Path) -> str:
    """Restarts the server in a process of its own; returns the end of that process's output."""
    command = [sys.executable, "-P", "-m", "sinet_pipelines.deployment.supervisor", "--restart", str(folder)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return (ended.stdout + ended.stderr).strip()[-500:]


def _await_end(server: Endpoint, folder: Path) -> None:
    """Waits until the server's process has ended, or `current.json` names another server or is gone."""
    while is_alive(server) and read_current(folder) == server:
        try:
            descriptor = os.pidfd_open(server.pid)
        except ProcessLookupError:
            return
        try:
            select.select([descriptor], [], [], LOOK_S)
        finally:
            os.close(descriptor)


def _log(folder: Path, sentence: str) -> None:
    path = folder / LOG_FILE
    with suppress(OSError):  # a full disk or a removed home must not end the supervisor
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.unlink()
        with path.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {sentence}\n")


def main(arguments: list[str]) -> int:
    """Supervises the endpoint of a folder, or restarts its server once; returns the exit code."""
    if arguments[0] != "--restart":
        watch(Path(arguments[0]))
        return 0
    from sinet_pipelines.deployment.process import restart

    try:
        endpoint = restart(Path(arguments[1]))
    except SinetError as error:
        print(f"{type(error).__name__}: {error}")
        return error.exit_code
    if endpoint is not None:
        print(f"process {endpoint.pid} serves at {endpoint.url}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
