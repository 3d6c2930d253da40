"""`sinet serve`: starts a model server for a model of the home's repository, or reuses one that runs."""

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from sinet_pipelines.cli.home import current_home
from sinet_pipelines.errors import UsageError
from sinet_pipelines.escaping import for_terminal
from sinet_pipelines.inventory.names import WEST

HIGHEST_PORT = 65535

Model = Annotated[str, typer.Argument(help="its name in the home's model repository")]
Version = Annotated[Optional[str], typer.Option(help="a number; default: the version with the alias")]  # noqa: UP045
Alias = Annotated[str, typer.Option(help="alias of the version, where --version is not set")]
Port = Annotated[int, typer.Option(help="of HTTP on 127.0.0.1; 0 for a free one")]
GrpcPort = Annotated[int, typer.Option(help="of gRPC on 127.0.0.1; 0 for a free one")]
Home = Annotated[Optional[Path], typer.Option("--home", help="the home of one fleet; default: the one last run")]  # noqa: UP045
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]


def command(
    model: Model,
    *,
    version: Version = None,
    alias: Alias = "champion",
    port: Port = 0,
    grpc_port: GrpcPort = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Serve a model over HTTP and gRPC until `sinet stop`.

    The champion is served at its own endpoint, another version at a second one.
    """
    from sinet_pipelines.deployment.cluster.record import read_record
    from sinet_pipelines.deployment.endpoint import endpoint_folder, models_folder, side_name
    from sinet_pipelines.deployment.process import describe, ensure_server
    from sinet_pipelines.deployment.repository import aliases, find_version

    _check_ports(port, grpc_port)
    place = current_home(home)
    repository = models_folder(place)
    wanted = find_version(repository, model, version=version, alias=alias)
    is_of_cluster = read_record(endpoint_folder(place, region=WEST, name=model)) is not None  # it uses the name
    is_champion = aliases(repository, model).get("champion") == wanted.version and not is_of_cluster
    name = model if is_champion else side_name(model, wanted.version)
    endpoint = ensure_server(
        endpoint_folder(place, region=WEST, name=name),
        name=name,
        region=WEST,
        repository=repository,
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
        print(
            for_terminal(f"{model} version {endpoint.version} serves at {endpoint.url}, over gRPC at {endpoint.grpc}")
        )
        print(for_terminal(f"request predictions with `sinet predict --url {endpoint.url}`, end it with `sinet stop`"))


def _check_ports(*ports: int) -> None:
    for port in ports:
        if not 0 <= port <= HIGHEST_PORT:
            raise UsageError(f"{port} is not a port (allowed: 1 to {HIGHEST_PORT}, 0 for a free one); choose another")
