"""Records the endpoints of a home in clusters, each in `<home>/serving/<REGION>/<model>/cluster.json`.

The record states that the endpoint should exist, with the version that was applied last. Its state is read from the
cluster.
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
    """An endpoint that was applied to its region's cluster and became ready.

    Attributes:
        name: name of the endpoint, equal to its model's.
        region: name of the endpoint's region.
        target: `deployment` or `kserve`.
        namespace: namespace of its objects.
        object: name of its objects.
        url: root of HTTP for all regions.
        grpc: host and port of gRPC; empty where the target has none.
        model: name of the model.
        version: number of the version that was applied last, as text.
        sha256: SHA-256 of that version's graph.
        generation: generation of the object that serves, after it was applied; each change of its spec adds one.
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
    """Writes the record of an endpoint into its folder."""
    write_whole(folder / RECORD_FILE, json.dumps(asdict(endpoint), indent=2).encode())


def read_record(folder: Path) -> ClusterEndpoint | None:
    """The record in an endpoint's folder; None where the file is missing or invalid."""
    try:
        content = json.loads((folder / RECORD_FILE).read_bytes())
        return ClusterEndpoint(**{field.name: content[field.name] for field in fields(ClusterEndpoint)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(folder: Path) -> None:
    """Removes the record; the objects in the cluster continue until a person deletes them."""
    (folder / RECORD_FILE).unlink(missing_ok=True)


def recorded(home: Path) -> dict[Path, ClusterEndpoint]:
    """The recorded endpoints of a home by their folders."""
    found = {folder: read_record(folder) for folder in endpoint_folders(home)}
    return {folder: record for folder, record in found.items() if record is not None}
