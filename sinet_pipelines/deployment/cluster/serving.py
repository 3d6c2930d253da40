"""Serves a version in its region's cluster: what its pods stage goes into the region's storage first."""

from collections.abc import Mapping
from pathlib import Path

from numpy.typing import NDArray

from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.deployment.cluster.record import ClusterEndpoint
from sinet_pipelines.deployment.cluster.rollout import PATIENCE, Patience, ensure_endpoint
from sinet_pipelines.deployment.cluster.sample import keep_sample
from sinet_pipelines.deployment.cluster.wanted import Wanted
from sinet_pipelines.deployment.endpoint import endpoint_folder
from sinet_pipelines.deployment.process import stop_servers
from sinet_pipelines.regions import Region
from sinet_pipelines.storage.blobs import BlobStore


def serve_in_cluster(
    home: Path,
    region: Region,
    *,
    model: str,
    version: str,
    graph: bytes,
    sample: Mapping[str, NDArray],
    own_region: str | None,
    patience: Patience = PATIENCE,
) -> ClusterEndpoint:
    """The endpoint once every server of this version is ready; where it is served already, nothing changes.

    Args:
        home: as this process and the pods of the region see it.
        region: where it serves.
        model: the name it is served under.
        version: a whole number, as text.
        graph: the version's ONNX.
        sample: one sane row, which every server answers before it is ready.
        own_region: the region whose pod this process runs in; None on a person's machine.
        patience: how long is waited.

    Raises:
        ServingError: the rollout fails; the former version is served on.
        ClusterError: the API refuses what it is asked, or does not answer.
        StorageError: the region's storage did not take the graph.
    """
    blobs = BlobStore(home / "blobs" / region.name)
    sha256 = blobs.put(graph)
    wanted = Wanted(model, version, sha256, keep_sample(blobs, sample, sha256=sha256), str(home))
    folder = endpoint_folder(home, region=region.name, name=model)
    endpoint = ensure_endpoint(folder, connect(region, own_region=own_region), wanted, patience=patience)
    stop_servers(folder)  # one of this machine, from before the region had a cluster
    return endpoint
