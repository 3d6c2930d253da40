"""Starts Dagster's UI and daemon behind the guard: `python -m sinet_pipelines.cli.dagster_pages PROGRAM ARGUMENTS`.

The arguments are those of the program: `dagster dev`, `dagster-webserver`, `dagster-daemon` or `dagster`. The webserver
runs in a process of its own with the guard around its application, so that no port is open without it. All processes
wait for events where Dagster's own look for them several times a second (decision 0040). This module replaces private
names of Dagster and gRPC; tests check them in the pinned versions.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = "sinet_pipelines.cli.dagster_pages"
HEARTBEAT_S = 8  # a code server ends after 30 s without a heartbeat
WATCH_S = 5  # after this time a restarted code server is noticed
WAIT_S = 60.0  # a gRPC server looks this often whether it has ended; its end also wakes it
RELOAD_S = 280  # Dagster's daemon gives up where a reload fails more than 300 s after the last one
#: Programs of Dagster by the module that starts them; the last one is a code server, or the proxy of one.
PROGRAMS = {"dagster_webserver": "webserver", "dagster._daemon": "daemon", "dagster": "dagster"}


def dev(arguments: list[str]) -> None:
    """`dagster dev`: webserver, daemon and one code server for both."""
    from dagster._cli import dev as pages
    from dagster._grpc import server

    pages.open_ipc_subprocess = server.open_ipc_subprocess = _guarded(pages.open_ipc_subprocess)
    rest_longer()
    pages.dev_command(arguments, prog_name="dagster dev")


def _guarded(start: Callable[..., Any]) -> Callable[..., Any]:
    """The function that starts a subprocess, with `guarded_command` of its command."""

    def guarded(parts: list[str], **options: Any) -> Any:
        return start(guarded_command(parts), **options)

    return guarded


def guarded_command(parts: list[str]) -> list[str]:
    """The command that starts a program of Dagster here: the webserver with the guard, other programs unchanged."""
    for module, program in PROGRAMS.items():
        if parts[1:3] == ["-m", module]:
            return [parts[0], "-m", MODULE, program, *parts[3:]]
    return parts


def rest_longer() -> None:
    """Reduces the rate at which a process sends heartbeats to its code server, and wakes to see whether it has ended.

    Dagster sends one heartbeat a second. The main thread of a gRPC server wakes ten times a second.
    """
    from dagster._grpc import client, server_watcher
    from grpc import _common

    client.CLIENT_HEARTBEAT_INTERVAL = HEARTBEAT_S
    server_watcher.WATCH_INTERVAL = WATCH_S
    _common.MAXIMUM_WAIT_TIMEOUT = WAIT_S


def reload_less_often() -> None:
    """Lets the daemon read the definitions again every five minutes.

    Dagster reads them every minute; with two applications that is a third of the CPU time of an idle daemon. New code
    does not wait for it: the process that monitors the code server reads the definitions as soon as its id changes. A
    location that could not be loaded is tried again every minute, as in Dagster.
    """
    from dagster._daemon.controller import DagsterDaemonController as Controller

    reload = Controller.check_workspace_freshness

    def seldom(controller: Controller, reloaded_at: float) -> float:
        context = controller._workspace_process_context.create_request_context()
        is_due = time.time() - reloaded_at > RELOAD_S or context.code_location_errors()
        return reload(controller, reloaded_at) if is_due else reloaded_at

    Controller.check_workspace_freshness = seldom  # type: ignore[assignment, method-assign]


def evaluate_after_changes(home: Path) -> None:
    """Lets the daemon evaluate a sensor of the platform only where something changed that it reads.

    Dagster's function returns whether a sensor was evaluated less than its interval ago. Here a sensor that has nothing
    to do counts as such, too. Sensors without the tag `AFTER` are evaluated at their interval.
    """
    from dagster._daemon import sensor as daemon

    from sinet_pipelines.cli.resting import Evaluated, Resting
    from sinet_pipelines.deployment.changes import AFTER

    resting, iterate, is_early = Resting(home), daemon.execute_sensor_iteration, daemon.is_under_min_interval
    newest: list[Callable[[], int | None]] = []

    def iteration(context: Any, *given: Any, **options: Any) -> Any:
        newest[:] = [context.instance.event_log_storage.get_maximum_record_id]
        yield from iterate(context, *given, **options)

    def rests(state: Any, sensor: Any, *given: Any) -> bool:
        if is_early(state, sensor, *given):
            return True
        data = state.instigator_data
        if not newest or data is None:
            return False
        last = Evaluated(data.last_tick_start_timestamp, bool(data.last_tick_success_timestamp), data.cursor)
        reads = sensor.tags.get(AFTER)
        return resting.rests(sensor, name=sensor.selector_id, reads=reads, last=last, newest_event=newest[0])

    vars(daemon).update(execute_sensor_iteration=iteration, is_under_min_interval=rests)


def daemon(arguments: list[str]) -> None:
    """`dagster-daemon`."""
    from dagster._daemon.cli import cli

    rest_longer()
    reload_less_often()
    if home := os.environ.get("SINET_HOME"):
        evaluate_after_changes(Path(home))
    cli(arguments, obj={}, prog_name="dagster-daemon")


def dagster(arguments: list[str]) -> None:
    """`dagster`: the code server of webserver and daemon, and the one that it starts, which loads the definitions."""
    from dagster._cli import ENV_PREFIX, cli
    from dagster._grpc import server

    server.open_ipc_subprocess = _guarded(server.open_ipc_subprocess)
    rest_longer()
    cli(arguments, auto_envvar_prefix=ENV_PREFIX, prog_name="dagster")


def webserver(arguments: list[str]) -> None:
    """`dagster-webserver` with the guard around its application."""
    from dagster_webserver import cli as pages

    from sinet_pipelines.cli.card_pages import CardPages
    from sinet_pipelines.cli.guard import Guard
    from sinet_pipelines.deployment.waiting_server import serve_waiting

    home = Path(os.environ.get("SINET_HOME", ""))
    create = pages.create_app_from_workspace_process_context

    def guarded(*given: Any, **options: Any) -> Guard:
        return Guard(CardPages(create(*given, **options), home))

    pages.create_app_from_workspace_process_context = guarded  # type: ignore[assignment]
    rest_longer()
    serve_waiting()
    pages.cli(arguments, prog_name="dagster-webserver")


if __name__ == "__main__":
    {"dev": dev, "webserver": webserver, "daemon": daemon, "dagster": dagster}[sys.argv[1]](sys.argv[2:])
