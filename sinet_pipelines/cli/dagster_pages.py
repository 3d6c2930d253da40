"""Starts Dagster's UI and daemon behind the guard: `python -m sinet_pipelines.cli.dagster_pages PROGRAM ARGUMENTS`.

The arguments are those of the program: `dagster dev`, `dagster-webserver`, `dagster-daemon` or `dagster`. The webserver
runs in a process of its own with the guard around its application, so that no port is open without it. Processes that
send heartbeats to the code server send them every few seconds: at Dagster's rate of one a second they use a quarter of
the CPU time of an idle deployment. This module replaces private names of Dagster; a test checks them in the pinned
version.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

MODULE = "sinet_pipelines.cli.dagster_pages"
HEARTBEAT_S = 8  # a code server ends after 30 s without a heartbeat
WATCH_S = 5  # after this time a restarted code server is noticed
RELOAD_S = 280  # Dagster's daemon gives up where a reload fails more than 300 s after the last one
#: Programs of Dagster by the module that starts them; the last one is a code server that is a proxy of another.
PROGRAMS = {"dagster_webserver": "webserver", "dagster._daemon": "daemon", "dagster": "dagster"}


def dev(arguments: list[str]) -> None:
    """`dagster dev`: webserver, daemon and one code server for both."""
    from dagster._cli import dev as pages
    from dagster._grpc import server

    start = pages.open_ipc_subprocess

    def guarded(parts: list[str], **options: Any) -> Any:
        return start(guarded_command(parts), **options)

    pages.open_ipc_subprocess = server.open_ipc_subprocess = guarded  # type: ignore[assignment]
    pages.dev_command(arguments, prog_name="dagster dev")


def guarded_command(parts: list[str]) -> list[str]:
    """The command that starts a program of Dagster here: the webserver with the guard, other programs unchanged."""
    for module, program in PROGRAMS.items():
        if parts[1:3] == ["-m", module]:
            return [parts[0], "-m", MODULE, program, *parts[3:]]
    return parts


def poll_less_often() -> None:
    """Reduces the rate at which a process sends heartbeats to its code server to one every few seconds."""
    from dagster._grpc import client, server_watcher

    client.CLIENT_HEARTBEAT_INTERVAL = HEARTBEAT_S
    server_watcher.WATCH_INTERVAL = WATCH_S


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


def daemon(arguments: list[str]) -> None:
    """`dagster-daemon`."""
    from dagster._daemon.cli import cli

    poll_less_often()
    reload_less_often()
    cli(arguments, obj={}, prog_name="dagster-daemon")


def dagster(arguments: list[str]) -> None:
    """`dagster`: the code server of webserver and daemon, a proxy of the one that loads the definitions."""
    from dagster._cli import ENV_PREFIX, cli

    poll_less_often()
    cli(arguments, auto_envvar_prefix=ENV_PREFIX, prog_name="dagster")


def webserver(arguments: list[str]) -> None:
    """`dagster-webserver` with the guard around its application."""
    from dagster_webserver import cli as pages

    from sinet_pipelines.cli.card_pages import CardPages
    from sinet_pipelines.cli.guard import Guard

    home = Path(os.environ.get("SINET_HOME", ""))
    create = pages.create_app_from_workspace_process_context

    def guarded(*given: Any, **options: Any) -> Guard:
        return Guard(CardPages(create(*given, **options), home))

    pages.create_app_from_workspace_process_context = guarded  # type: ignore[assignment]
    poll_less_often()
    pages.cli(arguments, prog_name="dagster-webserver")


if __name__ == "__main__":
    {"dev": dev, "webserver": webserver, "daemon": daemon, "dagster": dagster}[sys.argv[1]](sys.argv[2:])
