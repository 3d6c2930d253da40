"""The endpoint in a cluster whose pods are containers: staged, served, switched under load, healed, and kept."""

import threading
from dataclasses import replace
from functools import partial

import kubernetes
import pytest
import yaml
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job

from sinet_pipelines.deployment.client import predict
from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.deployment.cluster.record import read_record
from sinet_pipelines.deployment.cluster.rollout import Patience
from sinet_pipelines.deployment.cluster.serving import serve_in_cluster
from sinet_pipelines.deployment.cluster.state import read_state
from sinet_pipelines.deployment.connection import UnreachableError
from sinet_pipelines.errors import ClusterError, ServingError
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.placement.bindings import step_config
from sinet_pipelines.placement.needs import Needs
from tests.clusters.deployments import ServiceProxy
from tests.clusters.furnish import DEPLOYER, enforce_restricted, furnish
from tests.clusters.processes import Clusters
from tests.inventory import WEST, get_hardware
from tests.loopback import free_port
from tests.sinet_pipelines.deployment.served import expected_rul, rul_graph, sane_inputs
from tests.waiting import until

pytestmark = pytest.mark.slow  # every server is a process, staged by another one
NAME, NAMESPACE = "endpoint-rul", WEST.cluster.namespace
QUICK = Patience(poll_s=0.2, settle_s=5.0)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    with Clusters(tmp_path_factory.mktemp("clusters")) as running:
        yield running


@pytest.fixture
def west(clusters, tmp_path):
    """WEST's row and cluster, whose namespace enforces "restricted", and its Service behind an address of loopback."""
    cluster = clusters.clusters["WEST"]
    with ServiceProxy(cluster, NAMESPACE, NAME) as proxy:
        serving = replace(
            WEST.cluster.serving,
            target=ServingTarget.DEPLOYMENT,
            address=proxy.url,
            http_port=free_port(),
            grpc_port=free_port(),
        )
        kubeconfig = clusters.of(WEST, DEPLOYER)
        region = replace(WEST, cluster=replace(WEST.cluster, serving=serving, kubeconfig_file=str(kubeconfig)))
        with cluster.lock:
            furnish(cluster, region, settings={})
            enforce_restricted(cluster, NAMESPACE)
        yield region, cluster
        with cluster.lock:
            for plural in ("deployments", "services"):
                cluster.objects.delete(plural, NAMESPACE, NAME)
        until(lambda: not cluster.pods)


def serve(home, region, version, *, bias, patience=QUICK, **kind):
    graph = rul_graph(bias, **kind).SerializeToString()
    values = {"model": "rul", "version": version, "graph": graph, "sample": sane_inputs()}
    return serve_in_cluster(home, region, **values, own_region=None, patience=patience)


def says(endpoint, *, bias):
    """Whether the endpoint answers as the graph of this bias does."""
    inputs = sane_inputs(2)
    answer = predict(endpoint.url, "rul", inputs)
    return abs(answer.outputs["rul_cycles"] - expected_rul(inputs, bias=bias)).max() < 1e-3


class Load:
    """Clients that ask an endpoint all the time, over new connections and over kept ones, and count their answers."""

    def __init__(self, url, clients=3):
        self._url, self._over = url, threading.Event()
        self.versions, self.failures = [], []
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        inputs = sane_inputs(700)  # in two parts over one connection
        while not self._over.is_set():
            try:
                self.versions.append(predict(self._url, "rul", inputs).version)
            except UnreachableError as error:
                if "another version took over" not in str(error):  # told so, and asked again
                    self.failures.append(error)
            except Exception as error:  # noqa: BLE001 - every lost answer is counted
                self.failures.append(error)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_a_version_is_switched_under_load_without_a_lost_request_and_back(west, tmp_path):
    region, cluster = west
    first = serve(tmp_path, region, "1", bias=50.0)
    assert says(first, bias=50.0)
    pods = [pod.name for pod in cluster.pods.values()]
    assert serve(tmp_path, region, "1", bias=50.0) == first
    assert [pod.name for pod in cluster.pods.values()] == pods  # the same bytes change nothing
    with Load(first.url) as load:
        until(lambda: load.versions)
        second = serve(tmp_path, region, "2", bias=60.0)
        until(lambda: "2" in load.versions[-3:])
        back = serve(tmp_path, region, "1", bias=50.0)
        until(lambda: load.versions[-1] == "1")
    assert load.failures == []
    assert set(load.versions) == {"1", "2"}
    assert (second.url, back.url) == (first.url, first.url)
    assert back.generation == 3
    kept = cluster.objects.list("replicasets", NAMESPACE)
    assert len(kept) == 2  # to go back is to use the former ReplicaSet again


STEP = """
import sys
from pathlib import Path
from sinet_pipelines.deployment.cluster.serving import serve_in_cluster
from sinet_pipelines.inventory.regions import this_inventory
from tests.sinet_pipelines.deployment.served import rul_graph, sane_inputs

west = this_inventory().region("WEST")
graph = rul_graph(50.0).SerializeToString()
served = {"model": "rul", "version": "1", "graph": graph, "sample": sane_inputs()}
print(serve_in_cluster(Path(sys.argv[1]), west, **served, own_region="WEST").url)
"""


def test_the_endpoint_answers_after_the_pod_that_applied_it_is_gone(clusters, west, tmp_path):
    region, cluster = west
    serving = {name: getattr(region.cluster.serving, name) for name in ("address", "http_port", "grpc_port")}
    registry = tmp_path / "inventory.yaml"
    registry.write_text(yaml.safe_dump({"regions": [{"name": "WEST", "cluster": {"serving": serving}}]}))
    step = Needs(deploys=True)
    job = job_of(region, step, ["python", "-W", "ignore", "-c", STEP, str(tmp_path)], SINET_INVENTORY=str(registry))
    with cluster.lock:
        made = cluster.create(NAMESPACE, job)
    until(lambda: made.is_finished)
    assert made.succeeded, [pod.log for pod in cluster.pods.values()]
    with cluster.lock:
        cluster.delete(NAMESPACE, made.name)
    until(lambda: (NAMESPACE, made.name) not in cluster.jobs)
    assert [pod.owner_kind for pod in cluster.pods.values()] == ["ReplicaSet"]
    endpoint = read_record(tmp_path / "serving" / "WEST" / "rul")
    assert says(endpoint, bias=50.0)
    assert read_state(connect(region, own_region=None), endpoint).reason == ""


def job_of(region, needs, command, **variables):
    """The Job of a step with these needs whose worker is this command."""
    found = kubernetes.client.ApiClient()
    config = step_config(region, get_hardware("cpu"), needs)
    pod = UserDefinedDagsterK8sConfig.from_dict(config)
    made = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image=region.cluster.image, dagster_home="/opt/dagster/dagster_home"),
        command,
        "endpoint-step",
        user_defined_k8s_config=pod,
        env_vars=[{"name": name, "value": value} for name, value in variables.items()],
    )
    return found.sanitize_for_serialization(made)


def test_a_rollout_that_fails_leaves_the_old_version_serving_and_the_next_version_goes_on(west, tmp_path):
    region, cluster = west
    first = serve(tmp_path, region, "1", bias=50.0)
    with pytest.raises(ServingError) as caught:
        serve(tmp_path, region, "2", bias=60.0, answers_nan=True)
    message = str(caught.value)
    assert "did not become ready with version 2" in message
    assert "server is in CrashLoopBackOff (code 3: ServingError: 'rul' version 2 predicts nan" in message
    assert "version 1 still serves" in message
    assert says(first, bias=50.0)
    assert read_record(tmp_path / "serving" / "WEST" / "rul") == first
    state = read_state(connect(region, own_region=None), first)
    assert (state.is_ready, state.version, state.sha256) == (True, "1", first.sha256)
    assert "server is in CrashLoopBackOff" in state.reason
    third = serve(tmp_path, region, "3", bias=70.0)
    assert says(third, bias=70.0)
    assert read_state(connect(region, own_region=None), third).reason == ""


def test_what_a_hand_did_in_the_cluster_is_named_and_the_next_run_heals_it(west, tmp_path):
    region, cluster = west
    endpoint = serve(tmp_path, region, "1", bias=50.0)
    api = connect(region, own_region=None)
    hands = {
        "was scaled to 0": partial(patch, cluster, {"replicas": 0}),
        "Deployment endpoint-rul in namespace sinet of WEST is gone": partial(delete, cluster, "deployments"),
        "Service endpoint-rul in namespace sinet of WEST is gone": partial(delete, cluster, "services"),
    }
    for words, hand in hands.items():
        hand()
        until(partial(is_down, api, endpoint))
        assert words in read_state(api, endpoint).reason
        endpoint = serve(tmp_path, region, "1", bias=50.0)
        assert says(endpoint, bias=50.0)
        assert read_state(api, endpoint).reason == ""


def test_an_image_that_is_not_there_is_named_and_a_pod_that_dies_is_replaced(west, tmp_path):
    region, cluster = west
    endpoint = serve(tmp_path, region, "1", bias=50.0)
    lost = replace(region, cluster=replace(region.cluster, image="sinet/pipelines:none"))
    cluster.unpullable.add("sinet/pipelines:none")
    with pytest.raises(ServingError, match="stage is in (ErrImagePull|ImagePullBackOff).*version 1 still serves"):
        serve(tmp_path, lost, "1", bias=50.0)
    assert says(serve(tmp_path, region, "1", bias=50.0), bias=50.0)
    (pod,) = ready(cluster)
    with cluster.lock:
        cluster.delete_pod(pod)
    until(lambda: ready(cluster) not in ([], [pod]))
    assert says(endpoint, bias=50.0)


def test_an_account_without_its_role_is_told_with_its_cure(west, tmp_path):
    region, cluster = west
    with cluster.lock:
        role = cluster.objects.delete("roles", NAMESPACE, DEPLOYER)
    with pytest.raises(ClusterError, match="returns 403 .*give service account sinet-deploy in sinet its Role"):
        serve(tmp_path, region, "1", bias=50.0)
    with cluster.lock:
        cluster.objects.put("roles", NAMESPACE, DEPLOYER, role)


def ready(cluster):
    with cluster.lock:
        return [pod for pod in cluster.pods.values() if pod.is_ready and not pod.is_deleted]


def is_down(api, endpoint):
    return not read_state(api, endpoint).is_ready


def patch(cluster, spec):
    with cluster.lock:
        body = cluster.objects.get("deployments", NAMESPACE, NAME)
        body["metadata"]["generation"] += 1
        cluster.objects.put("deployments", NAMESPACE, NAME, {**body, "spec": {**body["spec"], **spec}})


def delete(cluster, plural):
    with cluster.lock:
        cluster.objects.delete(plural, NAMESPACE, NAME)
