"""The version to serve in a region's cluster, and the names and labels of its objects."""

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
_LONGEST = 52  # KServe and ReplicaSets append to the name, and a label's value has at most 63 characters


@dataclass(frozen=True)
class Wanted:
    """A version of a model for an endpoint.

    Attributes:
        model: its name in the registry.
        version: its number, as text.
        sha256: of its graph, 64 hex digits.
        sample: SHA-256 of the blob with the valid row that every server predicts before it is ready.
        home: path of the home for pods of the region, with the graph and the sample.
    """

    model: str
    version: str
    sha256: str
    sample: str
    home: str


def object_name(model: str) -> str:
    """The name of the objects of a model's endpoint: a DNS label; a changed name gets a hash.

    >>> object_name("turbofan_remaining_useful_life"), object_name("Rul.v2")
    ('endpoint-turbofan-remaining-useful-life', 'endpoint-rul-v2-7d03583c')
    """
    label = re.sub("[^a-z0-9]+", "-", model.lower()).strip("-")
    name = f"endpoint-{label}"
    if label.replace("-", "_") == model and len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def selector(model: str) -> dict[str, str]:
    """The labels by which Deployment and Service select the pods of an endpoint; a Deployment's are immutable."""
    return {"app.kubernetes.io/name": "sinet-endpoint", INSTANCE: object_name(model)}


def labels(region: Region, wanted: Wanted) -> dict[str, str]:
    """The labels of the objects and the pods."""
    return {
        **selector(wanted.model),
        "app.kubernetes.io/managed-by": "sinet",
        f"{GROUP}/region": region.name,
        VERSION: wanted.version,
    }


def annotations(wanted: Wanted, *, attempt: int = 1) -> dict[str, str]:
    """The annotations of the objects and the pods: values too long for labels, and the attempt's number from 2 on."""
    entries = {f"{GROUP}/model": wanted.model, SHA256: wanted.sha256}
    return {**entries, ATTEMPT: str(attempt)} if attempt > 1 else entries


def service_host(region: Region, model: str) -> str:
    """The host name of the endpoint inside the region's own cluster."""
    name = object_name(model)
    if region.cluster.serving.target is ServingTarget.KSERVE:
        name = f"{name}-predictor"
    return f"{name}.{region.cluster.namespace}.svc"


def host_names(region: Region, model: str, *, address: str) -> str:
    """Host names that the servers accept, for their option `hosts`.

    KServe's gateways use host names of their own, and check the name themselves.
    """
    if region.cluster.serving.target is ServingTarget.KSERVE:
        return "*"
    host = service_host(region, model)
    short = host.removesuffix(".svc")
    names = [short.split(".")[0], short, host, f"{host}.cluster.local"]
    root = urlsplit(address).hostname
    return ",".join(dict.fromkeys([*names, *([root] if root else [])]))
