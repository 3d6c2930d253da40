"""`sinet serve`: a model server for a model of the home's repository, started or used again."""

import json
import sys
from pathlib import Path

from sinet_pipelines.cli.home import current_home
from sinet_pipelines.errors import UsageError
from sinet_pipelines.regions import WEST

HIGHEST_PORT = 65535


def command(
    model: str,
    *,
    version: str | None = None,
    alias: str = "champion",
    port: int = 0,
    grpc_port: int = 0,
    home: Path | None = None,
    as_json: bool = False,
) -> None:
    """Serves a model over HTTP and gRPC on 127.0.0.1 until `sinet stop`, and prints where.

    The champion takes its own endpoint, the one that `sinet run` made; any other version gets one beside it.

    Args:
        model: its name in the repository.
        version: to serve; the one under the alias where None.
        alias: see `version`.
        port: of HTTP; 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one.
        home: of the fleet; the one last run where None.
        as_json: print JSON alone.

    Raises:
        UsageError: a port that is none.
        ModelNotFoundError: there is no such model, version or alias.
        BusyError: another program holds the port.
        ServingError: the server does not start.
    """
    from sinet_pipelines.deployment.endpoint import endpoint_folder, models_folder, side_name
    from sinet_pipelines.deployment.process import describe, ensure_server
    from sinet_pipelines.deployment.repository import aliases, find_version

    _check_ports(port, grpc_port)
    serving = current_home(home) / "serving"
    wanted = find_version(models_folder(serving), model, version=version, alias=alias)
    is_champion = aliases(models_folder(serving), model).get("champion") == wanted.version
    name = model if is_champion else side_name(model, wanted.version)
    endpoint = ensure_server(
        endpoint_folder(serving, region=WEST.name, name=name),
        name=name,
        region=WEST.name,
        repository=models_folder(serving),
        model=model,
        version=wanted.version,
        sha256=wanted.sha256,
        port=port,
        grpc_port=grpc_port,
    )
    if as_json:
        json.dump(describe(endpoint), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print(f"{model} version {endpoint.version} answers at {endpoint.url} and, over gRPC, at {endpoint.grpc}")
        print(f"ask it with `sinet predict --url {endpoint.url}`, end it with `sinet stop`")


def _check_ports(*ports: int) -> None:
    for port in ports:
        if not 0 <= port <= HIGHEST_PORT:
            raise UsageError(f"{port} is no port (allowed: 1 to {HIGHEST_PORT}, 0 for a free one); choose another")
