"""The API of a region's cluster as its endpoints need it: apply, look, and the events that say why not.

Objects go and come as plain dicts, so that a custom object is asked for as any other. A call is sent once and has an
end; whoever applies may send it again, since the same bytes change nothing.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.deployment.cluster.proxies import go_by_proxy
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.regions import Region

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER = "sinet"  # owner of the fields that are applied
REQUEST_S = 10.0
TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "InferenceService": "/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Event": "/api/v1/namespaces/{namespace}/events",
}


def kubeconfig_errors() -> tuple[type[Exception], ...]:
    """What the client's loader raises of a kubeconfig that is missing, no YAML, no base64, or of another shape."""
    import kubernetes.config
    import yaml

    config = kubernetes.config.ConfigException
    return config, OSError, ValueError, TypeError, AttributeError, KeyError, yaml.YAMLError


@dataclass
class ClusterApi:
    """The objects of one region's namespace.

    Attributes:
        region: whose cluster.
        client: of the Kubernetes package, as it was configured.
    """

    region: Region
    client: "ApiClient"

    def apply(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The object after a server-side apply: made, changed, or, where nothing differs, as it was.

        Raises:
            ClusterError: the API refused it or does not answer.
        """
        path = f"{self._path(said['kind'])}/{said['metadata']['name']}"
        query = [("fieldManager", MANAGER), ("force", "true")]  # what a hand changed of our fields is changed back
        return self._call("PATCH", path, query=query, body=said, kind="application/apply-patch+yaml")

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object; None where there is none.

        Raises:
            ClusterError: the API refused or does not answer.
        """
        try:
            return self._call("GET", f"{self._path(kind)}/{name}")
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def pods(self, selector: Mapping[str, str]) -> list[dict[str, Any]]:
        """The pods that have these labels.

        Raises:
            ClusterError: the API refused or does not answer.
        """
        query = [("labelSelector", ",".join(f"{name}={value}" for name, value in selector.items()))]
        return list(self._call("GET", self._path("Pod"), query=query)["items"])

    def warning(self, kind: str, name: str) -> str:
        """Reason and words of the newest warning about an object; empty where there is none, or none may be seen."""
        query = [("fieldSelector", f"involvedObject.kind={kind},involvedObject.name={name}")]
        try:
            found = self._call("GET", self._path("Event"), query=query)["items"]
        except ClusterError:
            return ""  # events only add words to a reason that is known without them
        warnings = [event for event in found if event.get("type") == "Warning"]
        newest = max(warnings, key=_when, default=None)
        return f"{newest.get('reason')}: {newest.get('message')}" if newest else ""

    def _path(self, kind: str) -> str:
        return _PATHS[kind].format(namespace=self.region.cluster.namespace)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
        kind: str = "",
    ) -> dict[str, Any]:
        import urllib3.exceptions
        from kubernetes.client.rest import ApiException

        headers = {"Accept": "application/json", **({"Content-Type": kind} if kind else {})}
        try:
            answer = self.client.call_api(
                path,
                method,
                query_params=query or [],
                header_params=headers,
                body=body,
                response_types_map={200: "object", 201: "object"},
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=REQUEST_S,
            )
        except ApiException as error:
            raise self._refused(error) from error
        except AttributeError as error:
            if not isinstance(error.__context__, ApiException):  # kubernetes 36 stumbles over an answer without a body
                raise
            raise self._refused(error.__context__) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"{self.region.name}'s API does not answer ({first_line(error)})") from error
        return dict(answer)

    def _refused(self, error: Any) -> ClusterError:
        status = int(error.status or 0)
        words = " ".join(_words(error).split())
        said = f"answers {status} ({words})" if status else f"does not answer ({words})"
        if not is_of_an_api_server(error.body):
            return ClusterError(f"{self.region.name}'s API {said}, by no API server: a gateway before it?", status=503)
        is_final = 400 <= status < 429 and status != 409  # a conflict with another writer passes
        return ClusterError(f"{self.region.name}'s API {said}", status=status, is_final=is_final)


def is_of_an_api_server(body: str | bytes | None) -> bool:
    """Whether an API server refused, and not a gateway before it, which knows nothing of what was asked for.

    An API server says so by a Status object, a gateway by a page; where there is no body, nothing speaks against it.
    """
    if not body:
        return True
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("kind") == "Status"


def connect(region: Region, *, own_region: str | None) -> ClusterApi:
    """The API of a region's cluster: by the context of its row, else, in a pod of that region, by the pod's own token.

    Args:
        region: whose cluster.
        own_region: the region whose pod this process runs in; None on a person's machine.

    Raises:
        ClusterError: there is neither.
    """
    import kubernetes.config
    from kubernetes.client import ApiClient, Configuration

    # the client's own default is the variable as it was when the client was imported
    file = region.cluster.kubeconfig_file or os.environ.get("KUBECONFIG") or None
    context = region.cluster.kubeconfig_context
    configuration = Configuration()
    try:
        kubernetes.config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
    except kubeconfig_errors() as error:
        if own_region != region.name or not TOKEN.is_file() or "KUBERNETES_SERVICE_HOST" not in os.environ:
            where = file or "the default kubeconfig"
            raise ClusterError(
                f"{where} has no usable context {context!r} ({first_line(error)}), and this is no pod of {region.name} "
                f"with a token; add the context, or change kubeconfig_context of {region.name}",
                is_final=True,
            ) from error
        kubernetes.config.load_incluster_config(client_configuration=configuration)
    else:
        go_by_proxy(configuration, file=file, context=context)
    configuration.retries = False
    return ClusterApi(region, ApiClient(configuration))


def _words(error: Any) -> str:
    """What a server says beside its number: the message of its status object, else its reason."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        said = None
    return str((said.get("message") if isinstance(said, dict) else None) or error.reason or "no word")


def _when(event: Mapping[str, Any]) -> str:
    """When an event was last seen, by the server's own clock: ISO times of one zone sort as text."""
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")
