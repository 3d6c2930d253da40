"""Starts MLflow's pages: `python -m sinet_pipelines.cli.mlflow_pages server ARGUMENTS`, with MLflow's own arguments.

MLflow runs uvicorn in a process of its own. Here that process waits for requests and does not wake ten times a second.
This module replaces a private name of MLflow; a test checks it in the pinned version.
"""

import sys

MODULE = "sinet_pipelines.cli.mlflow_pages"
UVICORN = "uvicorn"


def mlflow(arguments: list[str]) -> None:
    """`mlflow`, whose server runs below this module."""
    from mlflow import cli, server

    build = server._build_uvicorn_command

    def waiting(*given: object, **options: object) -> list[str]:
        return waiting_command(build(*given, **options))

    server._build_uvicorn_command = waiting
    cli.cli(arguments, prog_name="mlflow")


def waiting_command(parts: list[str]) -> list[str]:
    """The command that starts uvicorn here; another command unchanged."""
    return [parts[0], "-m", MODULE, UVICORN, *parts[3:]] if parts[1:3] == ["-m", UVICORN] else parts


def uvicorn(arguments: list[str]) -> None:
    """`uvicorn` with the server that waits."""
    from uvicorn import main as command

    from sinet_pipelines.deployment.waiting_server import serve_waiting

    serve_waiting()
    command(arguments, prog_name=UVICORN)


if __name__ == "__main__":
    if sys.argv[1] == UVICORN:
        uvicorn(sys.argv[2:])
    else:
        mlflow(sys.argv[1:])
