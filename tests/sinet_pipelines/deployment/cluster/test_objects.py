"""What is applied: objects that the schemas of Kubernetes accept, pods under "restricted", equal bytes each time."""

import json
from dataclasses import replace

import kubernetes_validate
import pytest

from sinet_pipelines.deployment.cluster.kserve import SERVER, inference_service
from sinet_pipelines.deployment.cluster.objects import deployment, disruption_budget, service
from sinet_pipelines.deployment.cluster.pods import pod_spec
from sinet_pipelines.deployment.cluster.wanted import host_names, object_name
from sinet_pipelines.deployment.server import parse_options
from sinet_pipelines.errors import InventoryError, ServingError
from sinet_pipelines.inventory.sites import Serving, ServingTarget
from tests.clusters.pod_security import violations
from tests.inventory import REGIONS, WEST
from tests.sinet_pipelines.deployment.cluster.conftest import wanted

KUBERNETES = "1.36"
OF_KSERVE = {"labels", "annotations", "minReplicas", "maxReplicas", "deploymentStrategy"}  # else PodSpec is inlined


def row(region=WEST, **serving):
    return replace(region, cluster=replace(region.cluster, serving=replace(region.cluster.serving, **serving)))


def objects(region):
    hosts = host_names(region, "rul", address="https://models.west.example")
    return [service(region, wanted()), deployment(region, wanted(), hosts=hosts), disruption_budget(region, wanted())]


@pytest.mark.parametrize("region", [row(one, replicas=count) for one in REGIONS for count in (1, 3)])
def test_every_object_is_one_that_the_schema_accepts(region):
    validated = [kubernetes_validate.validate(found, KUBERNETES, strict=True) for found in objects(region)]
    assert len(validated) == 3


def test_a_pod_satisfies_pod_security_restricted_and_runs_as_steps_do():
    spec = pod_spec(WEST, wanted(), hosts="")
    assert violations(spec) == ""
    assert spec["securityContext"]["runAsUser"] == WEST.cluster.run_as_user


def test_the_server_mounts_the_staged_model_alone_and_no_secret():
    spec = pod_spec(WEST, wanted(), hosts="")
    (server,) = spec["containers"]
    assert [(mount["name"], mount["readOnly"]) for mount in server["volumeMounts"]] == [("served", True)]
    assert "envFrom" not in server
    assert spec["automountServiceAccountToken"] is False


def test_the_server_parses_its_arguments_and_accepts_the_names_of_its_service():
    hosts = host_names(WEST, "rul", address="https://models.west.example:8443")
    (server,) = pod_spec(WEST, wanted("7"), hosts=hosts)["containers"]
    options = parse_options(server["args"])
    assert (options.model, options.version, options.sha256) == ("rul", "7", "a" * 64)
    assert (options.port, options.grpc_port, options.folder) == (8000, 8001, "")
    assert options.hosts.split(",") == [
        "endpoint-rul",
        "endpoint-rul.sinet",
        "endpoint-rul.sinet.svc",
        "endpoint-rul.sinet.svc.cluster.local",
        "models.west.example",
    ]
    assert server["readinessProbe"]["httpGet"]["path"] == "/v2/models/rul/versions/7/ready"


def test_a_new_version_is_ready_before_the_old_one_ends_and_the_old_replica_set_is_kept():
    spec = deployment(WEST, wanted(), hosts="")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert spec["revisionHistoryLimit"] >= 2
    pod = spec["template"]["spec"]
    leave_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= leave_s + 10 + 3  # the server's own times to drain and to linger


def test_equal_arguments_give_equal_bytes_and_another_version_or_attempt_another_template():
    first, again = (json.dumps(deployment(WEST, wanted(), hosts="x"), sort_keys=True) for _ in range(2))
    assert first == again
    template = deployment(WEST, wanted(), hosts="x")["spec"]["template"]
    for other in (wanted("2"), wanted(sha256="c")):
        assert deployment(WEST, other, hosts="x")["spec"]["template"] != template
    assert deployment(WEST, wanted(), hosts="x", attempt=2)["spec"]["template"] != template
    assert service(WEST, wanted()) == service(WEST, wanted("2"))


def test_several_servers_are_spread_over_nodes_and_drained_one_by_one():
    spec = pod_spec(row(replicas=2), wanted(), hosts="")
    (spread,) = spec["topologySpreadConstraints"]
    assert (
        spread["labelSelector"]["matchLabels"]
        == deployment(WEST, wanted(), hosts="")["spec"]["selector"]["matchLabels"]
    )
    assert disruption_budget(WEST, wanted())["spec"]["maxUnavailable"] == 1


def test_the_error_for_a_region_without_a_file_system_has_the_remedy():
    with pytest.raises(ServingError, match="no storage from which an endpoint's pod can stage its model .*add one"):
        pod_spec(replace(WEST, storage=()), wanted(), hosts="")


def test_kserves_predictor_is_the_same_pod_and_the_rest_its_own_fields():
    region = row(target=ServingTarget.KSERVE, replicas=2)
    found = inference_service(region, wanted("3"))
    predictor = dict(found["spec"]["predictor"])
    own = {name: predictor.pop(name) for name in OF_KSERVE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": predictor}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    assert (own["minReplicas"], own["maxReplicas"], own["labels"]["sinet.ai/version"]) == (2, 2, "3")
    (server,) = predictor["containers"]
    assert server["name"] == SERVER
    assert [port["name"] for port in server["ports"]] == ["http"]
    assert parse_options(server["args"]).hosts == "*"


@pytest.mark.parametrize("model", ["rul", "Rul.v2", "a" * 128, "0", "x__y", "x-y"])
def test_a_name_is_a_dns_label_and_no_two_models_share_one(model):
    name = object_name(model)
    assert len(name) <= 52
    assert name.replace("-", "").isalnum()
    assert name == name.lower()
    assert not name.endswith("-")
    assert name != object_name(f"{model}_")


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"address": "models.west.example"}, "give a root like https://models.west.example"),
        ({"address": "https://models.west.example/rul"}, "give a root"),
        ({"service_type": "NodePort"}, "allowed are ClusterIP, LoadBalancer"),
        ({"http_port": 8000, "grpc_port": 8000}, "two different ones"),
        ({"http_port": 80}, "from 1024 to 65535"),
        ({"replicas": 0}, "1 or more"),
        ({"cpu_limit_millicores": 100}, "below the 250 requested"),
        ({"service_account": ""}, "name the one that may apply"),
    ],
)
def test_an_invalid_row_is_rejected_with_the_allowed_values(expected, found):
    with pytest.raises(InventoryError, match=found):
        Serving(**expected)
