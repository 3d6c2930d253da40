"""Compares the version that each endpoint serves with the version that has the champion alias in the registry."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sinet_pipelines.deployment.cluster.record import ClusterEndpoint, recorded
from sinet_pipelines.deployment.endpoint import current, endpoint_folders
from sinet_pipelines.deployment.environment import own_region
from sinet_pipelines.registry.alias import named_by
from sinet_pipelines.registry.location import relocate

if TYPE_CHECKING:
    from sinet_pipelines.deployment.cluster.state import EndpointState


@dataclass(frozen=True)
class Following:
    """An endpoint compared with the registry.

    Attributes:
        model: name of the served model.
        content: the served version and the alias's version as one text, which changes when either changes.
        is_behind: whether the alias names another version, which can be served.
        reason: how the served version and the alias differ; empty where they agree.
    """

    model: str
    content: str
    is_behind: bool
    reason: str


def follow(home: Path) -> list[Following]:
    """Compares every running endpoint of a champion, which has its model's name, with the alias.

    An endpoint without a running server is left out, since its next start reads the registry.

    Raises:
        StorageError: MLflow's database cannot be read.
    """
    relocate(home)
    return [*_processes(home), *_in_clusters(home)]


def _processes(home: Path) -> list[Following]:
    found = []
    for folder in endpoint_folders(home):
        served = current(folder)
        if served is None or served.name != served.model:
            continue
        found.append(_compared(home, served.model, served.version, served.sha256, served.token))
    return found


def _in_clusters(home: Path) -> list[Following]:
    """The ready endpoints in clusters; after a failed rollout the former version serves, so the endpoint is behind."""
    found = []
    for record in recorded(home).values():
        state = _state(record)
        if state.is_ready:
            servers = f"{record.object}-{record.generation}-{state.version}"
            found.append(_compared(home, record.model, state.version, state.sha256, servers))
    return found


def _state(record: ClusterEndpoint) -> "EndpointState":
    from sinet_pipelines.deployment.cluster.state import state_of
    from sinet_pipelines.inventory.regions import this_inventory

    return state_of(record, inventory=this_inventory(), own_region=own_region())


def _compared(home: Path, model: str, version: str, sha256: str, servers: str) -> Following:
    """Compares the served version with the alias.

    Args:
        home: the home with the registry.
        model: name of the model.
        version: number of the served version, as text.
        sha256: SHA-256 of its graph; empty where it is unknown.
        servers: text that changes whenever other servers serve.
    """
    named = named_by(home, model)
    content = f"{model}-{servers}-{named.version}-{named.sha256}"
    agrees = str(named.version) == version and (sha256.startswith(named.sha256) or not sha256)
    if named.reason:
        reason = f"{model}: version {version} still serves, although {named.reason}"
        return Following(model, content, is_behind=False, reason="" if agrees and named.sha256 else reason)
    if agrees:
        return Following(model, content, is_behind=False, reason="")
    moved = f"version {version} serves, but the alias champion names version {named.version}"
    return Following(model, content, is_behind=True, reason=f"{model}: {moved}")
