"""What a home records of an endpoint that its cluster serves, in `<home>/serving/<REGION>/<model>/cluster.json`.

Where the servers are, and how they stand, the cluster says; the record says that there should be some.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sinet_pipelines.deployment.endpoint import endpoint_folders
from sinet_pipelines.sites import ServingTarget
from sinet_pipelines.storage.files import write_whole

RECORD_FILE = "cluster.json"


@dataclass(frozen=True)
class ClusterEndpoint:
    """An endpoint that was applied to its region's cluster and has answered.

    Attributes:
        name: of the endpoint, that of its model.
        region: where it serves.
        target: `deployment` or `kserve`.
        namespace: of its objects.
        object: their name.
        url: HTTP root that every region asks.
        grpc: host and port of gRPC; empty where the target has none.
        model: what it serves.
        version: that was applied last.
        sha256: of that version's graph.
        generation: of the object when it was applied; the cluster counts each change of what is wanted.
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
    """From now on this endpoint is its cluster's."""
    write_whole(folder / RECORD_FILE, json.dumps(asdict(endpoint), indent=2).encode())


def read_record(folder: Path) -> ClusterEndpoint | None:
    """What is recorded; None where the endpoint is no cluster's, or the file is no record."""
    try:
        said = json.loads((folder / RECORD_FILE).read_bytes())
        return ClusterEndpoint(**{field.name: said[field.name] for field in fields(ClusterEndpoint)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(folder: Path) -> None:
    """The endpoint is no cluster's any more; what the cluster serves goes on until somebody deletes it there."""
    (folder / RECORD_FILE).unlink(missing_ok=True)


def recorded(home: Path) -> dict[Path, ClusterEndpoint]:
    """The endpoints of a home that clusters serve, by their folders."""
    found = {folder: read_record(folder) for folder in endpoint_folders(home)}
    return {folder: record for folder, record in found.items() if record is not None}
