"""Defines the version to serve in a region's cluster, and the names and labels of its objects."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.sites import ServingTarget

GROUP = "sinet.ai"
INSTANCE = "app.kubernetes.io/instance"
VERSION = f"{GROUP}/version"
SHA256 = f"{GROUP}/sha256"
ATTEMPT = f"{GROUP}/attempt"
_LONGEST = 52  # KServe and ReplicaSets append to the name; a label's value may have 63 characters


@dataclass(frozen=True)
class Wanted:
    """The version that an endpoint should serve.

    Attributes:
        model: name of the model in the registry.
        version: number of the version, as text.
        sha256: SHA-256 of its graph, 64 hex digits.
        sample: SHA-256 of the blob with its sample.
        home: path in the pods of the region of the home with the graph and the sample.
    """

    model: str
    version: str
    sha256: str
    sample: str
    home: str


def object_name(model: str) -> str:
    """The name of the objects of a model's endpoint: a DNS label, with a hash where the model's name is not one.

    >>> object_name("turbofan_remaining_useful_life"), object_name("Rul.v2")
    ('endpoint-turbofan-remaining-useful-life', 'endpoint-rul-v2-7d03583c')
    """
    label = re.sub("[^a-z0-9]+", "-", model.lower()).strip("-")
    name = f"endpoint-{label}"
    if label.replace("-", "_") == model and len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def selector(model: str) -> dict[str, str]:
    """The labels by which Deployment and Service select the pods of an endpoint; they never change for a Deployment."""
    return {"app.kubernetes.io/name": "sinet-endpoint", INSTANCE: object_name(model)}


def labels(region: Region, wanted: Wanted) -> dict[str, str]:
    """The labels of the endpoint's objects and pods."""
    return {
        **selector(wanted.model),
        "app.kubernetes.io/managed-by": "sinet",
        f"{GROUP}/region": region.name,
        VERSION: wanted.version,
    }


def annotations(wanted: Wanted, *, attempt: int = 1) -> dict[str, str]:
    """The annotations of the endpoint's objects and pods: values too long for labels, and the attempt above 1."""
    entries = {f"{GROUP}/model": wanted.model, SHA256: wanted.sha256}
    return {**entries, ATTEMPT: str(attempt)} if attempt > 1 else entries


def service_host(region: Region, model: str) -> str:
    """The host name of the endpoint inside the region's own cluster."""
    name = object_name(model)
    if region.cluster.serving.target is ServingTarget.KSERVE:
        name = f"{name}-predictor"
    return f"{name}.{region.cluster.namespace}.svc"


def host_names(region: Region, model: str, *, address: str) -> str:
    """The host names that the servers accept, for their option `hosts`: `*` with KServe, whose gateways check names.

    Args:
        region: the region of the endpoint.
        model: name of the model.
        address: root of the endpoint for all regions; empty for none.
    """
    if region.cluster.serving.target is ServingTarget.KSERVE:
        return "*"
    host = service_host(region, model)
    short = host.removesuffix(".svc")
    names = [short.split(".")[0], short, host, f"{host}.cluster.local"]
    root = urlsplit(address).hostname
    return ",".join(dict.fromkeys([*names, *([root] if root else [])]))
