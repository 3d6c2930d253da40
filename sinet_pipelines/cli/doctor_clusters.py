"""What `sinet doctor` looks at in the clusters: context, API, permissions, objects, nodes with their devices, image.

Every finding names its cure. A cluster is only read, never changed; what its user may not see is unknown, no fault.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sinet_pipelines.cli.doctor_api import TIMEOUT_S, DoctorApi
from sinet_pipelines.cli.doctor_objects import object_findings
from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.hardware import Hardware, get_hardware
from sinet_pipelines.manifests.rights import LAUNCHES, RUNS, asked
from sinet_pipelines.regions import Region


def cluster_findings(region: Region, *, kubeconfig: str | None = None) -> Iterator[Finding]:
    """What is as it should be in a region's cluster, and what is not, with its cure.

    A cluster that does not answer ends the list.

    Args:
        region: whose cluster.
        kubeconfig: the file with its context; default: the client's own.
    """
    from kubernetes.client import ApiClient

    from resources.router.cluster import client_configuration

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
            yield _permissions(api)
            yield from object_findings(api)
            yield from _nodes(api)
            yield _image(region)


def _answers(api: DoctorApi) -> Finding:
    from kubernetes.client import VersionApi

    cure = "see that its address is right and that this machine may reach it; a lost region's steps fail by name"
    return api.asked("API", lambda: VersionApi(api.client).get_code(_request_timeout=TIMEOUT_S).git_version, cure)


def _permissions(api: DoctorApi) -> Finding:
    """Whether the user of the context may do what starting runs needs."""
    wanted = asked((*RUNS, *(LAUNCHES if api.region.cluster.runs_dagster else ())))

    def look() -> str:
        denied = [_spelled(*one) for one in wanted if not _may(api, *one)]
        if denied:
            raise ClusterError(f"may not {', '.join(denied)}")
        return f"may {', '.join(_spelled(*one) for one in wanted)}"

    cure = f"bind a role with these in namespace {api.region.cluster.namespace} to the user of the context"
    return api.asked("permissions", look, cure)


def _may(api: DoctorApi, verb: str, group: str, resource: str, subresource: str) -> bool:
    from kubernetes.client import AuthorizationV1Api

    at = api.region.cluster.namespace
    said = {"namespace": at, "verb": verb, "group": group, "resource": resource, "subresource": subresource}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    body = {**review, "spec": {"resourceAttributes": said}}
    answer = AuthorizationV1Api(api.client).create_self_subject_access_review(body, _request_timeout=TIMEOUT_S)
    return bool(answer.status.allowed)


def _spelled(verb: str, group: str, resource: str, subresource: str) -> str:
    return f"{verb} {resource}/{subresource}" if subresource else f"{verb} {resource}"


def _nodes(api: DoctorApi) -> Iterator[Finding]:
    """The nodes, those that carry the region's labels, and the devices of each kind on them."""
    from kubernetes.client import CoreV1Api

    region, kept = api.region, list[Any]()

    def look() -> str:
        kept.extend(CoreV1Api(api.client).list_node(_request_timeout=TIMEOUT_S).items)
        return f"{len(kept)}"

    found = api.asked("nodes", look, "see that nodes have joined the cluster", needs="list nodes")
    if found.ok and not kept:
        found = Finding(found.name, False, "0, so no pod starts", "see that nodes have joined the cluster")
    yield found
    kinds = [kind for kind in map(get_hardware, region.hardware) if not kind.is_cpu]
    if found.ok is not True:
        unseen = found.found if found.ok is None else "unknown: there are no nodes"
        yield from (Finding(f"{region.name} {what}", None, unseen) for what in ("node labels", *(k.id for k in kinds)))
        return
    own = [node for node in kept if _carries(node, region.cluster.node_labels)]
    yield _labels(region, own, kept)
    yield from (_devices(region, kind, own) for kind in kinds)


def _labels(region: Region, own: list[Any], nodes: list[Any]) -> Finding:
    """Steps choose nodes by the region's labels; without one that carries them all, every step waits for ever."""
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
    cure = f"install its device plugin and label its nodes, or take it from {region.name}'s row"
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
