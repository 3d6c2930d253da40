"""Serves a version in its region's cluster; first writes its graph and sample to the region's storage for the pods."""

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
    """Serves the version; returns the endpoint once every server is ready. Nothing changes where it is served already.

    Args:
        home: path of the home, for this process and for the pods of the region.
        region: the region of the endpoint.
        model: name of the model and of the endpoint.
        version: number of the version, as text.
        graph: bytes of the version's ONNX graph.
        sample: one valid row, which every server predicts before it is ready: input name -> (1, ...) array.
        own_region: the region of the pod of this process; None on a person's machine.
        patience: time limits.

    Raises:
        ServingError: the rollout fails; the former version still serves.
        ClusterError: the API rejects a request, or does not respond.
        StorageError: the graph or the sample could not be written to the region's storage.
    """
    blobs = blobs_of(home, region.name)
    sha256 = blobs.put(graph)
    wanted = Wanted(model, version, sha256, keep_sample(blobs, sample, sha256=sha256), str(home))
    folder = endpoint_folder(home, region=region.name, name=model)
    endpoint = ensure_endpoint(folder, connect(region, own_region=own_region), wanted, patience=patience)
    stop_servers(folder)  # of this machine, which served before the region had a cluster
    return endpoint
