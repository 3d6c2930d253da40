"""Serves a version in its region's cluster; first stores what its pods stage in the region's storage."""

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
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.storage.blobs import blobs_of


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
    """The endpoint once every server of this version is ready; no change where it is served already.

    Args:
        home: path of the home for this process and the pods of the region.
        region: the region of the endpoint.
        model: the name it is served under.
        version: a whole number, as text.
        graph: the version's ONNX.
        sample: one valid row, which every server predicts before it is ready.
        own_region: the region of the pod of this process; None on a person's machine.
        patience: time limits.

    Raises:
        ServingError: the rollout fails; the former version still serves.
        ClusterError: the API rejects a request, or does not respond.
        StorageError: the graph could not be written to the region's storage.
    """
    blobs = blobs_of(home, region.name)
    sha256 = blobs.put(graph)
    wanted = Wanted(model, version, sha256, keep_sample(blobs, sample, sha256=sha256), str(home))
    folder = endpoint_folder(home, region=region.name, name=model)
    endpoint = ensure_endpoint(folder, connect(region, own_region=own_region), wanted, patience=patience)
    stop_servers(folder)  # a server on this machine, from before the region had a cluster
    return endpoint
