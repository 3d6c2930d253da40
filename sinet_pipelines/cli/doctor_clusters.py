"""What `sinet doctor` looks at in the clusters: context, API, permissions, namespace, accounts, queue, devices, image.

The list follows docs/clusters.md; every finding names its cure. A cluster is only read, never changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.regions import Region
from sinet_pipelines.sites import TierKind

TIMEOUT_S = 10
_RENEW = "renew the token or certificate of the context's user in the kubeconfig"
UNSEEN = "may not be seen by the user of the context"
PERMISSIONS = (  # what the router asks of a cluster
    ("create", "batch", "jobs", ""),
    ("get", "batch", "jobs", ""),
    ("delete", "batch", "jobs", ""),
    ("list", "", "pods", ""),
    ("get", "", "pods", "log"),
    ("list", "", "events", ""),
)


def cluster_findings(region: Region, *, kubeconfig: str | None = None) -> Iterator[Finding]:
    """What is as it should be in a region's cluster, and what is not, with its cure.

    What cannot be seen for lack of leave to look says so; a cluster that does not answer ends the list.

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
        looked = _Cluster(region, client)
        api = looked.api()
        yield api
        if api.ok:
            yield from looked.set_up()


class _Cluster:
    """One region's cluster under the doctor's eye."""

    def __init__(self, region: Region, client: Any) -> None:
        self._region, self._client = region, client
        self._at = region.cluster.namespace
        self._kubectl = f"kubectl --context {region.cluster.kubeconfig_context}"

    def api(self) -> Finding:
        """Whether it answers, and in which version."""
        from kubernetes.client import VersionApi

        cure = "see that its address is right and that this machine may reach it; a lost region's steps fail by name"
        return self._look(
            "API", lambda: VersionApi(self._client).get_code(_request_timeout=TIMEOUT_S).git_version, cure
        )

    def set_up(self) -> Iterator[Finding]:
        """What an operator sets up in it."""
        cluster, at = self._region.cluster, self._at
        yield self._permissions()
        yield self._there("namespace", f"/api/v1/namespaces/{at}", f"{self._kubectl} create namespace {at}")
        account = cluster.service_account
        path = f"/api/v1/namespaces/{at}/serviceaccounts/{account}"
        yield self._there("service account", path, f"{self._kubectl} -n {at} create serviceaccount {account}")
        yield from self._settings()
        for name in sorted(set(cluster.priority_classes.values())):
            path = f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}"
            cure = f"{self._kubectl} create priorityclass {name} --value=..."
            yield self._there(f"priority class {name}", path, cure)
        if cluster.queue:
            path = f"/apis/kueue.x-k8s.io/v1beta1/namespaces/{at}/localqueues/{cluster.queue}"
            cure = f"install Kueue and apply a LocalQueue of this name, or set `queue: ''` for {self._region.name}"
            yield self._there(f"local queue {cluster.queue}", path, cure)
        yield from self._devices()
        yield self._image()

    def _settings(self) -> Iterator[Finding]:
        """The config maps, secrets and claims that a step's pod names: it does not start without one of them."""
        cluster, inside = self._region.cluster, f"/api/v1/namespaces/{self._at}"
        for name in dict.fromkeys(filter(None, [*cluster.env_config_maps, cluster.step_instance_config_map])):
            cure = f"{self._kubectl} -n {self._at} create configmap {name} ..."
            yield self._there(f"config map {name}", f"{inside}/configmaps/{name}", cure)
        for name in dict.fromkeys([*cluster.env_secrets, *cluster.image_pull_secrets]):
            cure = f"{self._kubectl} -n {self._at} create secret generic {name} ..."
            found = self._there(f"secret {name}", f"{inside}/secrets/{name}", cure)
            # who may not read secrets is as careful as one should be
            yield replace(found, ok=True, cure="see that it is there") if found.found == UNSEEN else found
        files = self._region.tier(TierKind.PARALLEL_FILES)
        if files is not None:
            cure = f"apply a PersistentVolumeClaim {files.where} that many pods may mount"
            yield self._there(f"claim {files.where}", f"{inside}/persistentvolumeclaims/{files.where}", cure)

    def _permissions(self) -> Finding:
        def look() -> str:
            denied = [_spelled(*asked) for asked in PERMISSIONS if not self._may(*asked)]
            if denied:
                raise ClusterError(f"may not {', '.join(denied)}")
            return f"may {', '.join(_spelled(*asked) for asked in PERMISSIONS)}"

        cure = f"bind a role with these in namespace {self._at} to the user of the context"
        return self._look("permissions", look, cure)

    def _may(self, verb: str, group: str, resource: str, subresource: str) -> bool:
        from kubernetes.client import AuthorizationV1Api

        asked = {"namespace": self._at, "verb": verb, "group": group, "resource": resource, "subresource": subresource}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        body = {**review, "spec": {"resourceAttributes": asked}}
        api = AuthorizationV1Api(self._client)
        return bool(api.create_self_subject_access_review(body, _request_timeout=TIMEOUT_S).status.allowed)

    def _devices(self) -> Iterator[Finding]:
        from kubernetes.client import CoreV1Api

        wanted = [kind for kind in map(get_hardware, self._region.hardware) if not kind.is_cpu]
        nodes: list[Any] = []

        def look() -> str:
            nodes.extend(CoreV1Api(self._client).list_node(_request_timeout=TIMEOUT_S).items)
            return f"{len(nodes)}"

        yield self._look("nodes", look, "give the user of the context leave to list nodes, to see their devices")
        for kind in wanted if nodes else []:
            found = sum(_devices_of(node, kind.resource_name, kind.node_labels) for node in nodes)
            labels = ", ".join(f"{name}={value}" for name, value in kind.node_labels.items())
            yield Finding(
                f"{self._region.name} {kind.id}",
                found > 0,
                f"{found} of {kind.resource_name} on nodes with {labels}",
                ""
                if found
                else f"install its device plugin and label its nodes, or take it from {self._region.name}'s row",
            )

    def _image(self) -> Finding:
        image = self._region.cluster.image
        is_pinned = "@sha256:" in image or ":" in image.rsplit("/", 1)[-1]
        found = image or "none"
        where = f"`cluster: {{image: ...}}` of {self._region.name}"
        cure = "" if image and is_pinned else f"name an image with its tag or digest in {where}"
        return Finding(f"{self._region.name} image", bool(image) and is_pinned, found, cure)

    def _there(self, what: str, path: str, cure: str) -> Finding:
        def look() -> str:
            kind = {200: "object"}
            auth = ["BearerToken"]
            self._client.call_api(path, "GET", response_types_map=kind, auth_settings=auth, _request_timeout=TIMEOUT_S)
            return path.rsplit("/", 1)[-1]

        return self._look(what, look, cure)

    def _look(self, what: str, look: Callable[[], str], cure: str) -> Finding:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        from resources.router.cluster import answered

        name = f"{self._region.name} {what}"
        try:
            return Finding(name, True, answered(look))
        except ApiException as error:
            if error.status == 404:
                return Finding(name, False, "is not there", cure)
            if error.status == 403:
                return Finding(name, False, UNSEEN, f"give leave to look, or: {cure}")
            if error.status == 401:
                return Finding(name, False, "the API answers 401 (Unauthorized)", _RENEW)
            if not error.status:  # no connection was made
                cure = "see `certificate-authority` of the context's cluster in the kubeconfig"
                return Finding(name, False, f"does not answer ({' '.join(str(error.reason).split())})", cure)
            return Finding(name, False, f"the API answers {error.status} ({error.reason})", cure)
        except ClusterError as error:
            return Finding(name, False, str(error), cure)
        except (HTTPError, OSError) as error:
            return Finding(name, False, f"does not answer ({first_line(error)})", cure)


def _spelled(verb: str, group: str, resource: str, subresource: str) -> str:
    return f"{verb} {resource}/{subresource}" if subresource else f"{verb} {resource}"


def _devices_of(node: Any, resource: str, labels: Any) -> int:
    """How many devices of a kind a node hands over; none where it lacks the labels by which steps choose it."""
    has = node.metadata.labels or {}
    if any(has.get(name) != value for name, value in labels.items()):
        return 0
    return int((node.status.allocatable or {}).get(resource, "0"))
