"""Dagster's pages and daemon behind the guard: `python -m sinet_pipelines.cli.dagster_pages dev|webserver ARGUMENTS`.

The arguments are those of `dagster dev` and of `dagster-webserver`. The webserver runs in a process of its own with the
guard around its application, so that no port answers without it. Two private names of Dagster are replaced; a test
holds them to the pinned version.
"""

import os
import sys
from pathlib import Path
from typing import Any

MODULE = "sinet_pipelines.cli.dagster_pages"


def dev(arguments: list[str]) -> None:
    """`dagster dev`: webserver, daemon and one code server for both."""
    from dagster._cli import dev as pages

    start = pages.open_ipc_subprocess

    def guarded(parts: list[str], **options: Any) -> Any:
        return start(guarded_command(parts), **options)

    pages.open_ipc_subprocess = guarded  # type: ignore[assignment]
    pages.dev_command(arguments, prog_name="dagster dev")


def guarded_command(parts: list[str]) -> list[str]:
    """The command that starts the webserver, with the guard; any other as it is."""
    if "dagster_webserver" not in parts:
        return parts
    place = parts.index("dagster_webserver")
    return [*parts[:place], MODULE, "webserver", *parts[place + 1 :]]


def webserver(arguments: list[str]) -> None:
    """`dagster-webserver` with the guard around its application."""
    from dagster_webserver import cli as pages

    from sinet_pipelines.cli.card_pages import CardPages
    from sinet_pipelines.cli.guard import Guard

    cards = Path(os.environ.get("SINET_HOME", "")) / "cards"
    create = pages.create_app_from_workspace_process_context

    def guarded(*given: Any, **options: Any) -> Guard:
        return Guard(CardPages(create(*given, **options), cards))

    pages.create_app_from_workspace_process_context = guarded  # type: ignore[assignment]
    pages.cli(arguments, prog_name="dagster-webserver")


if __name__ == "__main__":
    {"dev": dev, "webserver": webserver}[sys.argv[1]](sys.argv[2:])
