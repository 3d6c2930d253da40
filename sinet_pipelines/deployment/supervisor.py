"""Restarts a model server when its process ends unexpectedly: `python -m sinet_pipelines.deployment.supervisor FOLDER`.

There is one small process for each endpoint, which `process.py` starts beside the server. It waits for the end of the
process in `current.json`. Where the file is gone, the endpoint was stopped and the supervisor ends too. It imports
little and so uses little memory; the restart itself is a process of its own.
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
LOG_BYTES = 100_000  # the log is emptied beyond this: a server that keeps ending must not fill the disk
LOOK_S = 5.0  # between two reads of current.json while the server runs
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 30.0  # before the second restart in sequence and later ones, doubled each time
SOUND_S = 60.0  # a server that ran for so long is restarted at once
LOCK_S = 0.5  # for a process that only checks whether the lock is held


def supervise(folder: Path) -> None:
    """Starts a supervisor of the endpoint, unless it has one; it outlives this process."""
    if is_held(folder / LOCK_FILE):
        return
    subprocess.Popen(
        [sys.executable, "-P", "-m", "sinet_pipelines.deployment.supervisor", str(folder.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=server_environment(),
        start_new_session=True,
    ).returncode = 0  # it is meant to outlive this process: `Popen` then does not warn


def watch(folder: Path) -> None:
    """Restarts the server until the endpoint is stopped; returns at once where the endpoint has a supervisor."""
    while read_current(folder) is not None:  # checked again with the lock: another may have started meanwhile
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
        if time.monotonic() - since > SOUND_S:
            pause_s = 0.0
        time.sleep(pause_s)
        _log(folder, f"process {named.pid} of version {named.version} ended unexpectedly")
        _log(folder, _restart(folder) or "the endpoint was stopped")
        pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LAST_PAUSE_S)


def _restart(folder: Path) -> str:
    """The output of a restart, which is a process of its own."""
    command = [sys.executable, "-P", "-m", "sinet_pipelines.deployment.supervisor", "--restart", str(folder)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return (ended.stdout + ended.stderr).strip()[-500:]


def _await_end(server: Endpoint, folder: Path) -> None:
    """Waits until the process has ended, or `current.json` names another one."""
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
    with suppress(OSError):  # a full disk, or a removed home, must not end the supervisor
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.unlink()
        with path.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {sentence}\n")


def main(arguments: list[str]) -> int:
    """Supervises a folder, or restarts its server once."""
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
