"""How the doctor asks a cluster's API: each answer becomes a finding, and what may not be seen is unknown, no fault."""

from collections.abc import Callable
from typing import Any

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.regions import Region

TIMEOUT_S = 10
RENEW = "renew the token or certificate of the context's user in the kubeconfig"
REFUSED = "the API refuses the credential (401): it has expired or is not of this cluster"


class DoctorApi:
    """One region's cluster as the doctor asks it; it is only read.

    Attributes:
        region: whose.
        kubectl: how a cure begins.
    """

    def __init__(self, region: Region, client: Any) -> None:
        self.region, self.client = region, client
        self.kubectl = region.cluster.kubectl()

    def get(self, path: str) -> dict[str, Any]:
        """The object at a path, as JSON has it.

        Raises:
            ApiException: the API refuses, or there is none.
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
        """Whether an object is there, and what its content says.

        Args:
            what: as the finding calls it.
            path: of the object.
            cure: where it is not there.
            judge: returns a finding where the content is not as it should be; its name is replaced.
        """
        kept: list[dict[str, Any]] = []

        def look() -> str:
            kept.append(self.get(path))
            return path.rsplit("/", 1)[-1]

        finding = self.asked(what, look, cure, needs=_needs(path))
        judged = judge(kept[0]) if judge is not None and kept else None
        return Finding(finding.name, judged.ok, judged.found, judged.cure) if judged else finding

    def asked(self, what: str, look: Callable[[], str], cure: str, *, needs: str = "") -> Finding:
        """The answer to a question as a finding.

        Args:
            what: as the finding calls it.
            look: asks, and returns what was found.
            cure: where it is not there, or the API has trouble.
            needs: the right without which it cannot be seen.
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
            return Finding(name, False, f"does not answer ({first_line(error)})", cure)


def _refused(name: str, error: Any, cure: str, needs: str) -> Finding:
    if error.status == 404:
        return Finding(name, False, "is not there", cure)
    if error.status == 403:
        return Finding(name, None, f"unknown (needs {needs or 'more rights'})")
    if error.status == 401:
        return Finding(name, False, REFUSED, RENEW)
    if not error.status:  # no connection was made
        cure = "see `certificate-authority` of the context's cluster in the kubeconfig"
        return Finding(name, False, f"does not answer ({' '.join(str(error.reason).split())})", cure)
    return Finding(name, False, f"the API answers {error.status} ({error.reason})", cure)


def _needs(path: str) -> str:
    """The right by which a path can be read: `get secrets`."""
    return f"get {path.rsplit('/', 2)[-2]}"
