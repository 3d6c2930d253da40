"""Checks a region's cluster for `sinet doctor`: context, API, rights, objects, nodes with their devices, image.

Every finding names its cure. A cluster is only read. What its user may not read is unknown, which is no fault.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sinet_pipelines.cli.doctor_api import TIMEOUT_S, DoctorApi
from sinet_pipelines.cli.doctor_objects import object_findings
from sinet_pipelines.cli.doctor_rights import right_findings
from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.inventory.hardware import Hardware
from sinet_pipelines.inventory.regions import Region


def cluster_findings(region: Region, *, kubeconfig: str | None = None) -> Iterator[Finding]:
    """The findings of a region's cluster, each with its cure.

    A cluster that does not respond ends the list.

    Args:
        region: the region of the cluster.
        kubeconfig: the file with its context; default: that of the client.
    """
    from kubernetes.client import ApiClient

    from resources.router.connections import client_configuration

    try:
        configuration = client_configuration(region, kubeconfig=kubeconfig)
    except ClusterError as error:
        yield Finding(f"{region.name} context", False, str(error))
        return
    context = region.cluster.kubeconfig_context
    yield Finding(f"{region.name} context", True, f"{context} at {configuration.host}")
    with ApiClient(configuration) as client:
        api = DoctorApi(region, client)
        answers = _answers(api)
        yield answers
        if answers.ok:
            yield from right_findings(api)
            yield from object_findings(api)
            yield from _nodes(api)
            yield _image(region)


def _answers(api: DoctorApi) -> Finding:
    from kubernetes.client import VersionApi

    cure = "check its address and that this machine can reach it; the steps of a lost region fail and name the region"
    return api.finding("API", lambda: VersionApi(api.client).get_code(_request_timeout=TIMEOUT_S).git_version, cure)


def _nodes(api: DoctorApi) -> Iterator[Finding]:
    """The nodes, the nodes with the region's labels, and the devices of each kind on them."""
    from kubernetes.client import CoreV1Api

    region, kept = api.region, list[Any]()

    def look() -> str:
        kept.extend(CoreV1Api(api.client).list_node(_request_timeout=TIMEOUT_S).items)
        return f"{len(kept)}"

    found = api.finding("nodes", look, "check that nodes have joined the cluster", needs="list nodes")
    if found.ok and not kept:
        found = Finding(found.name, False, "0, so no pod starts", "check that nodes have joined the cluster")
    yield found
    kinds = [kind for kind in region.kinds if not kind.is_cpu]
    if found.ok is not True:
        unseen = found.found if found.ok is None else "unknown: there are no nodes"
        yield from (Finding(f"{region.name} {what}", None, unseen) for what in ("node labels", *(k.id for k in kinds)))
        return
    own = [node for node in kept if _carries(node, region.cluster.node_labels)]
    yield _labels(region, own, kept)
    yield from (_devices(region, kind, own) for kind in kinds)


def _labels(region: Region, own: list[Any], nodes: list[Any]) -> Finding:
    """Steps select nodes by the region's labels. Where no node has all of them, every step waits for ever."""
    wanted = ", ".join(f"{name}={value}" for name, value in region.cluster.node_labels.items()) or "no label"
    label = " ".join(f"{name}={value}" for name, value in region.cluster.node_labels.items())
    cure = f"{region.cluster.kubectl()} label nodes --all {label}"
    found = f"{len(own)} of {len(nodes)} nodes carry {wanted}"
    return Finding(f"{region.name} node labels", bool(own), found, "" if own else cure)


def _devices(region: Region, kind: Hardware, nodes: list[Any]) -> Finding:
    from kubernetes.utils.quantity import parse_quantity

    count = sum(
        int(parse_quantity((node.status.allocatable or {}).get(kind.resource_name, "0")))  # a thousand is "1k"
        for node in nodes
        if _carries(node, kind.node_labels)
    )
    labels = ", ".join(f"{name}={value}" for name, value in kind.node_labels.items())
    cure = f"install its device plugin and label its nodes, or remove it from {region.name}'s row"
    found = f"{count} of {kind.resource_name} on nodes with {labels}"
    return Finding(f"{region.name} {kind.id}", count > 0, found, "" if count else cure)


def _carries(node: Any, labels: Mapping[str, str]) -> bool:
    has = node.metadata.labels or {}
    return all(has.get(name) == value for name, value in labels.items())


def _image(region: Region) -> Finding:
    image = region.cluster.image
    if "@sha256:" in image or ":" in image.rsplit("/", 1)[-1]:
        return Finding(
            f"{region.name} image", None, f"{image}; unknown whether its registry has it, until a pod pulls it"
        )
    cure = f"name an image with its tag or digest in `cluster: {{image: ...}}` of {region.name}"
    return Finding(f"{region.name} image", False, image or "none", cure)
