"""Calls the API of a region's cluster for endpoints: applies and reads objects, and reads events.

Objects are plain dicts, so that custom objects need no code of their own. Each call is sent once and has a time limit.
The caller may repeat an apply, since equal bytes change nothing.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinet_pipelines.deployment.cluster.proxies import use_proxy
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.inventory.regions import Region

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER = "sinet"  # field manager of the applied fields
REQUEST_S = 10.0  # time limit of one call
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
    """The exceptions that the client's loader raises for a missing, invalid or incomplete kubeconfig."""
    import kubernetes.config
    import yaml

    config = kubernetes.config.ConfigException
    return config, OSError, ValueError, TypeError, AttributeError, KeyError, yaml.YAMLError


@dataclass
class ClusterApi:
    """Access to the objects in the namespace of one region.

    Attributes:
        region: the region of the cluster.
        client: a configured client of the Kubernetes package.
    """

    region: Region
    client: "ApiClient"

    def apply(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Applies an object on the server side and returns it: created, changed, or unchanged where nothing differs.

        Raises:
            ClusterError: the API rejected the request or did not respond.
        """
        path = f"{self._path(wanted['kind'])}/{wanted['metadata']['name']}"
        query = [("fieldManager", MANAGER), ("force", "true")]  # overwrites manual changes of the applied fields
        return self._call("PATCH", path, query=query, body=wanted, kind="application/apply-patch+yaml")

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object; None where it does not exist.

        Raises:
            ClusterError: the API rejected the request or did not respond.
        """
        try:
            return self._call("GET", f"{self._path(kind)}/{name}")
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def pods(self, selector: Mapping[str, str]) -> list[dict[str, Any]]:
        """The pods with all of these labels.

        Raises:
            ClusterError: the API rejected the request or did not respond.
        """
        query = [("labelSelector", ",".join(f"{name}={value}" for name, value in selector.items()))]
        return list(self._call("GET", self._path("Pod"), query=query)["items"])

    def warning(self, kind: str, name: str) -> str:
        """Reason and message of the newest warning about an object; empty without a warning or the right to read it."""
        query = [("fieldSelector", f"involvedObject.kind={kind},involvedObject.name={name}")]
        try:
            found = self._call("GET", self._path("Event"), query=query)["items"]
        except ClusterError:
            return ""  # an event only adds details to a reason that is known already
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
            response = self.client.call_api(
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
            if not isinstance(error.__context__, ApiException):  # kubernetes 36 raises it for a response without a body
                raise
            raise self._refused(error.__context__) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"{self.region.name}'s API does not respond ({first_line(error)})") from error
        return dict(response)

    def _refused(self, error: Any) -> ClusterError:
        status = int(error.status or 0)
        words = " ".join(words_of(error).split())
        problem = f"returns {status} ({words})" if status else f"does not respond ({words})"
        if not is_of_an_api_server(error.body):
            return ClusterError(f"{self.region.name}'s API {problem}, not from an API server: a gateway?", status=503)
        is_final = 400 <= status < 429 and status != 409  # a conflict with another writer is temporary
        return ClusterError(f"{self.region.name}'s API {problem}", status=status, is_final=is_final)


def is_of_an_api_server(body: str | bytes | None) -> bool:
    """Whether an error response is from an API server, not from a gateway in front of it, which has no such objects.

    An API server returns a Status object, a gateway an HTML page. A response without a body counts as an API server's.

    Args:
        body: the body of the response.
    """
    if not body:
        return True
    try:
        content = json.loads(body)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("kind") == "Status"


def connect(region: Region, *, own_region: str | None) -> ClusterApi:
    """The API of a region's cluster, by the context in the region's row, or in a pod of the region by the pod's token.

    Args:
        region: the region of the cluster.
        own_region: the region of the pod of this process; None on a person's machine.

    Raises:
        ClusterError: there is neither a usable context nor a token, or the context's proxy is of an unsupported kind.
    """
    import kubernetes.config
    from kubernetes.client import ApiClient, Configuration

    # the client reads the variable when it is imported; its value may have changed since
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
        use_proxy(configuration, file=file, context=context)
    configuration.retries = False
    return ClusterApi(region, ApiClient(configuration))


def words_of(error: Any) -> str:
    """The text of an API error: the message of its Status object, or else its HTTP reason."""
    try:
        content = json.loads(error.body or "")
    except ValueError:
        content = None
    return str((content.get("message") if isinstance(content, dict) else None) or error.reason or "no message")


def _when(event: Mapping[str, Any]) -> str:
    """The time at which an event last occurred, as ISO text in UTC, which sorts by time."""
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")
