"""What a home records of an endpoint in a cluster, in `<home>/serving/<REGION>/<model>/cluster.json`.

The cluster has the servers' addresses and state; the record states that the endpoint should exist.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sinet_pipelines.deployment.endpoint import endpoint_folders
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.storage.files import write_whole

RECORD_FILE = "cluster.json"


@dataclass(frozen=True)
class ClusterEndpoint:
    """An endpoint that was applied to its region's cluster and has responded.

    Attributes:
        name: of the endpoint, equal to its model's.
        region: the region of the endpoint.
        target: `deployment` or `kserve`.
        namespace: of its objects.
        object: name of its objects.
        url: HTTP root for all regions.
        grpc: host and port of gRPC; empty where the target has none.
        model: name of the model.
        version: the version that was applied last.
        sha256: of that version's graph.
        generation: of the object when it was applied; the cluster counts each change of the spec.
    """

    name: str
    region: str
    target: str
    namespace: str
    object: str
    url: str
    grpc: str
    model: str
    version: str
    sha256: str
    generation: int

    @property
    def kind(self) -> str:
        """The kind of the object that serves."""
        return "InferenceService" if self.target == ServingTarget.KSERVE else "Deployment"


def write_record(folder: Path, endpoint: ClusterEndpoint) -> None:
    """Records that this endpoint is in its cluster."""
    write_whole(folder / RECORD_FILE, json.dumps(asdict(endpoint), indent=2).encode())


def read_record(folder: Path) -> ClusterEndpoint | None:
    """The record of an endpoint; None where it is not in a cluster, or the file is not a record."""
    try:
        content = json.loads((folder / RECORD_FILE).read_bytes())
        return ClusterEndpoint(**{field.name: content[field.name] for field in fields(ClusterEndpoint)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(folder: Path) -> None:
    """Removes the record; the objects in the cluster continue until a person deletes them."""
    (folder / RECORD_FILE).unlink(missing_ok=True)


def recorded(home: Path) -> dict[Path, ClusterEndpoint]:
    """The endpoints of a home that clusters serve, by their folders."""
    found = {folder: read_record(folder) for folder in endpoint_folders(home)}
    return {folder: record for folder, record in found.items() if record is not None}
