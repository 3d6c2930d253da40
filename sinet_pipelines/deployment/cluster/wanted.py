"""What is to be served in a region's cluster, and the names and labels of the objects that serve it."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sinet_pipelines.regions import Region
from sinet_pipelines.sites import ServingTarget

GROUP = "sinet.ai"
INSTANCE = "app.kubernetes.io/instance"
VERSION = f"{GROUP}/version"
SHA256 = f"{GROUP}/sha256"
ATTEMPT = f"{GROUP}/attempt"
_LONGEST = 52  # KServe and ReplicaSets append to it, and a label's value ends at 63


@dataclass(frozen=True)
class Wanted:
    """A version of a model that an endpoint is to serve.

    Attributes:
        model: its name in the registry.
        version: its number, as text.
        sha256: of its graph, 64 hex digits.
        sample: SHA-256 of the blob with the sane row that every server answers before it is ready.
        home: the home as pods of the region see it, where the graph and the sample are.
    """

    model: str
    version: str
    sha256: str
    sample: str
    home: str


def object_name(model: str) -> str:
    """The name of the objects of a model's endpoint: a DNS label; what had to be changed leaves a hash.

    >>> object_name("remaining_useful_life"), object_name("Rul.v2")
    ('endpoint-remaining-useful-life', 'endpoint-rul-v2-7d03583c')
    """
    label = re.sub("[^a-z0-9]+", "-", model.lower()).strip("-")
    name = f"endpoint-{label}"
    if label.replace("-", "_") == model and len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def selector(model: str) -> dict[str, str]:
    """By which a Deployment and a Service find the pods of an endpoint; never changed, a Deployment's is immutable."""
    return {"app.kubernetes.io/name": "sinet-endpoint", INSTANCE: object_name(model)}


def labels(region: Region, wanted: Wanted) -> dict[str, str]:
    """Of the objects and the pods."""
    return {
        **selector(wanted.model),
        "app.kubernetes.io/managed-by": "sinet",
        f"{GROUP}/region": region.name,
        VERSION: wanted.version,
    }


def annotations(wanted: Wanted, *, attempt: int = 1) -> dict[str, str]:
    """Of the objects and the pods: what labels are too short for, and which attempt at the version it is, from 2 on."""
    said = {f"{GROUP}/model": wanted.model, SHA256: wanted.sha256}
    return {**said, ATTEMPT: str(attempt)} if attempt > 1 else said


def service_host(region: Region, model: str) -> str:
    """The name by which the region's own cluster resolves the endpoint."""
    name = object_name(model)
    if region.cluster.serving.target is ServingTarget.KSERVE:
        name = f"{name}-predictor"
    return f"{name}.{region.cluster.namespace}.svc"


def host_names(region: Region, model: str, *, address: str) -> str:
    """Names under which the servers may be asked, as their option `hosts` wants them.

    KServe's gateways ask under names that they choose themselves, and look at the name before they do.
    """
    if region.cluster.serving.target is ServingTarget.KSERVE:
        return "*"
    host = service_host(region, model)
    short = host.removesuffix(".svc")
    names = [short.split(".")[0], short, host, f"{host}.cluster.local"]
    root = urlsplit(address).hostname
    return ",".join(dict.fromkeys([*names, *([root] if root else [])]))
