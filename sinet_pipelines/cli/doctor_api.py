"""Reads a cluster's API for `sinet doctor`: each response becomes a finding; what may not be read is unknown."""

from collections.abc import Callable
from typing import Any

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.inventory.regions import Region

TIMEOUT_S = 10
RENEW = "renew the token or certificate of the context's user in the kubeconfig"
REFUSED = "the API refuses the credential (401): it has expired or is not of this cluster"


class DoctorApi:
    """One region's cluster, which `sinet doctor` only reads.

    Attributes:
        region: the region.
        kubectl: the beginning of each command that is a cure.
    """

    def __init__(self, region: Region, client: Any) -> None:
        self.region, self.client = region, client
        self.kubectl = region.cluster.kubectl()

    def get(self, path: str) -> dict[str, Any]:
        """The object at a path, as parsed JSON.

        Raises:
            ApiException: the API rejects the request or does not respond.
        """
        found = self.client.call_api(
            path,
            "GET",
            response_types_map={200: "object"},
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=TIMEOUT_S,
        )
        return dict(found)

    def there(
        self, what: str, path: str, cure: str, *, judge: Callable[[dict[str, Any]], Finding | None] | None = None
    ) -> Finding:
        """Finds whether an object exists and whether its content is right.

        Args:
            what: name of the object in the finding.
            path: of the object in the API.
            cure: what to do where it does not exist.
            judge: returns a finding where the content is wrong; its name is replaced. None where it is right.
        """
        kept: list[dict[str, Any]] = []

        def look() -> str:
            kept.append(self.get(path))
            return path.rsplit("/", 1)[-1]

        finding = self.finding(what, look, cure, needs=_needs(path))
        judged = judge(kept[0]) if judge is not None and kept else None
        return Finding(finding.name, judged.ok, judged.found, judged.cure) if judged else finding

    def finding(self, what: str, look: Callable[[], str], cure: str, *, needs: str = "") -> Finding:
        """Makes a finding of a request to the API.

        Args:
            what: name of the object in the finding.
            look: sends the request, and returns what was found.
            cure: what to do where the object does not exist or the request fails.
            needs: the right that the request needs.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        from resources.router.cluster import answered

        name = f"{self.region.name} {what}"
        try:
            return Finding(name, True, answered(look))
        except ApiException as error:
            return _refused(name, error, cure, needs)
        except ClusterError as error:
            return Finding(name, False, str(error), cure)
        except (HTTPError, OSError) as error:
            return Finding(name, False, f"does not respond ({first_line(error)})", cure)


def _refused(name: str, error: Any, cure: str, needs: str) -> Finding:
    if error.status == 404:
        return Finding(name, False, "does not exist", cure)
    if error.status == 403:
        return Finding(name, None, f"unknown (needs {needs or 'more rights'})")
    if error.status == 401:
        return Finding(name, False, REFUSED, RENEW)
    if not error.status:  # no connection was made
        cure = "check `certificate-authority` of the context's cluster in the kubeconfig"
        return Finding(name, False, f"does not respond ({' '.join(str(error.reason).split())})", cure)
    return Finding(name, False, f"the API returns {error.status} ({error.reason})", cure)


def _needs(path: str) -> str:
    """The right that reading a path needs: `get secrets`."""
    return f"get {path.rsplit('/', 2)[-2]}"
