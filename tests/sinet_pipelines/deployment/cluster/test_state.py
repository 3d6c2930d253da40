"""How an endpoint stands after hands were at it: each thing that a person can do in a cluster has its words."""

from dataclasses import replace

import pytest

from sinet_pipelines.deployment.cluster import state
from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.deployment.cluster.rollout import ensure_endpoint
from sinet_pipelines.deployment.cluster.state import read_state, state_of
from sinet_pipelines.errors import ClusterError
from tests.inventory import SHIPPED, WEST
from tests.sinet_pipelines.deployment.cluster.answers import status, waiting_pod
from tests.sinet_pipelines.deployment.cluster.conftest import wanted

DEPLOYMENT, SERVICE = ("deployments", "endpoint-rul"), ("services", "endpoint-rul")


@pytest.fixture
def record(answers, api, tmp_path):
    """Version 1, served."""
    answers.on_get = answers.roll_out
    made = ensure_endpoint(tmp_path, api, wanted())
    answers.on_get = lambda: None
    return made


def test_an_endpoint_as_it_was_applied_has_no_reason(api, record):
    found = read_state(api, record)
    assert (found.is_ready, found.is_known, found.version, found.reason) == (True, True, "1", "")
    assert found.sha256 == "a" * 64


def test_a_deleted_deployment_is_gone_and_not_ready(answers, api, record):
    del answers.objects[DEPLOYMENT]
    found = read_state(api, record)
    assert not found.is_ready
    assert found.reason == (
        "Deployment endpoint-rul in namespace sinet of WEST is gone: it, or its namespace, was deleted"
    )


def test_a_deployment_that_was_scaled_to_0_is_named(answers, api, record):
    answers.objects[DEPLOYMENT]["spec"]["replicas"] = 0
    answers.pods = []
    found = read_state(api, record)
    assert (found.is_ready, found.reason) == (False, "Deployment endpoint-rul was scaled to 0")


def test_an_endpoint_without_its_service_is_not_ready(answers, api, record):
    del answers.objects[SERVICE]
    found = read_state(api, record)
    assert (found.is_ready, found.reason) == (False, "Service endpoint-rul in namespace sinet of WEST is gone")


def test_an_edit_by_hand_is_named_with_its_author_and_controllers_are_not(answers, api, record):
    answers.objects[DEPLOYMENT]["metadata"]["managedFields"] = [
        {"manager": "sinet", "operation": "Apply", "fieldsV1": {"f:spec": {}}},
        {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "labels", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
    ]
    found = read_state(api, record)
    assert (found.is_ready, found.reason) == (True, "Deployment endpoint-rul was edited by kubectl-edit")


def test_a_failed_rollout_leaves_the_serving_version_and_a_reason(answers, api, record):
    body = answers.objects[DEPLOYMENT]
    body["metadata"]["labels"]["sinet.ai/version"] = "2"
    body["status"] = status(body, updated=1, replicas=2, available=1)
    template = body["spec"]["template"]
    answers.pods.append(waiting_pod(template, "new", reason="ImagePullBackOff", message="no such image"))
    found = read_state(api, record)
    assert (found.is_ready, found.version) == (True, "1")
    assert "pod new: stage is in ImagePullBackOff (no such image)" in found.reason
    assert "is of version 2, but version 1 was applied last" in found.reason


def test_without_the_right_to_read_the_cluster_the_endpoint_itself_is_read(answers, api, record, shared, monkeypatch):
    answers.refusals["deployments"] = 403
    with pytest.raises(ClusterError, match="returns 403"):
        read_state(api, record)
    monkeypatch.setattr(state, "connect", lambda *_, **__: api)
    found = state_of(replace(record, url=shared.url), inventory=SHIPPED)
    assert (found.is_ready, found.is_known, found.version) == (True, True, "1")
    assert found.reason.startswith("cluster not read: WEST's API returns 403")
    assert "give service account sinet-run in sinet its Role" in found.reason


def test_an_unreachable_cluster_is_not_a_dead_endpoint(record, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    found = state_of(record, inventory=SHIPPED)
    assert (found.is_ready, found.is_known, found.version) == (False, False, "1")
    assert "has no usable context 'west'" in found.reason


def test_an_endpoint_of_a_region_that_left_the_inventory_is_unknown_and_named(record):
    found = state_of(replace(record, region="NORTH"), inventory=SHIPPED)
    assert (found.is_ready, found.is_known, found.version) == (False, False, "1")
    assert "no region 'NORTH' (known: EAST, WEST, NULL_ISLAND)" in found.reason


def test_the_error_for_a_kubeconfig_without_the_context_has_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match=r"no usable context 'west' .* this is no pod of WEST .* add the context"):
        connect(WEST, own_region="EAST")
