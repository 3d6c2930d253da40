"""Checks rights in a region's cluster for `sinet doctor`: of the context's user and of the service accounts."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sinet_pipelines.cli.doctor_api import TIMEOUT_S, DoctorApi
from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.deployment.cluster import rights
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.manifests.rights import Rule, run_rules, single_rules

AUTHORIZATION = "authorization.k8s.io/v1"
Right = tuple[str, str, str, str]  # verb, group, resource, subresource


def right_findings(api: DoctorApi) -> Iterator[Finding]:
    """Whether the context's user, the account of runs and the account of the endpoint's step have their rights.

    Runs, web server and daemon share one account: it starts runs, and reads the endpoints that `sinet status` shows.
    """
    cluster = api.region.cluster
    wanted = run_rules(api.region)
    bind = f"bind a role with these in namespace {cluster.namespace} to the user of the context"
    yield _finding(api, "permissions", wanted, lambda right: _is_allowed_here(api, right), bind)
    yield _of_account(api, cluster.run_service_account, wanted)
    if applies := rights.rules(cluster.serving):
        yield _of_account(api, cluster.serving.service_account, applies)


def _of_account(api: DoctorApi, account: str, rules: Sequence[Rule]) -> Finding:
    def is_allowed(right: Right) -> bool:
        return _is_allowed_to(api, account, right)

    needs = "create localsubjectaccessreviews"
    return _finding(api, f"rights of {account}", rules, is_allowed, rights.cure(api.region, account), needs=needs)


def _finding(
    api: DoctorApi,
    what: str,
    rules: Sequence[Rule],
    is_allowed: Callable[[Right], bool],
    cure: str,
    *,
    needs: str = "",
) -> Finding:
    def look() -> str:
        wanted = single_rules(rules)
        if denied := [_spelled(right) for right in wanted if not is_allowed(right)]:
            raise ClusterError(f"may not {', '.join(denied)}")
        return f"may {', '.join(map(_spelled, wanted))}"

    return api.finding(what, look, cure, needs=needs)


def _is_allowed_here(api: DoctorApi, right: Right) -> bool:
    """Whether the user of the context has a right."""
    from kubernetes.client import AuthorizationV1Api

    body = {"apiVersion": AUTHORIZATION, "kind": "SelfSubjectAccessReview", "spec": _attributes(api, right)}
    review = AuthorizationV1Api(api.client).create_self_subject_access_review
    return bool(review(body, _request_timeout=TIMEOUT_S).status.allowed)


def _is_allowed_to(api: DoctorApi, account: str, right: Right) -> bool:
    """Whether a service account of the region's namespace has a right."""
    from kubernetes.client import AuthorizationV1Api

    at = api.region.cluster.namespace
    who = {
        "user": f"system:serviceaccount:{at}:{account}",
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{at}", "system:authenticated"],
    }
    body = {
        "apiVersion": AUTHORIZATION,
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": at},
        "spec": {**_attributes(api, right), **who},
    }
    review = AuthorizationV1Api(api.client).create_namespaced_local_subject_access_review
    return bool(review(at, body, _request_timeout=TIMEOUT_S).status.allowed)


def _attributes(api: DoctorApi, right: Right) -> dict[str, Any]:
    verb, group, resource, subresource = right
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    return {"resourceAttributes": {"namespace": api.region.cluster.namespace, **attributes}}


def _spelled(right: Right) -> str:
    """A right as text.

    >>> _spelled(("get", "", "pods", "log"))
    'get pods/log'
    """
    verb, _, resource, subresource = right
    return f"{verb} {resource}/{subresource}" if subresource else f"{verb} {resource}"
