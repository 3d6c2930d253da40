"""The real walk by the router: EAST's steps run in EAST's cluster, WEST's in WEST's, NULL_ISLAND's in NULL_ISLAND's."""

import json
import subprocess
import sys

import pytest
import yaml

from assets.turbofan.evaluation import MODEL
from sinet_pipelines.cli.orchestrator import CURRENT_HOME
from sinet_pipelines.deployment.client import ready_models
from sinet_pipelines.deployment.cluster.wanted import object_name
from tests.clusters.deployments import ServiceProxy
from tests.clusters.furnish import STEP_INSTANCE
from tests.clusters.processes import Clusters
from tests.conftest import CHECKOUT
from tests.inventory import REGIONS, WEST
from tests.loopback import free_port
from tests.walk.conftest import TRACED, environment_of

pytestmark = pytest.mark.slow
LIMIT_S = 1200  # some 45 steps, each a process that imports the house first, one at a time in each cluster


@pytest.fixture(scope="module")
def walked_in_clusters(small_cmapss, walk_project, tmp_path_factory):
    """The clusters after a walk of the small fleet, and what `sinet run` said."""
    folder = tmp_path_factory.mktemp("clusters")
    home = folder / "home"
    with (
        Clusters(folder) as clusters,
        ServiceProxy(clusters.clusters["WEST"], WEST.cluster.namespace, object_name(MODEL)) as proxy,
    ):
        serving = {"address": proxy.url, "http_port": free_port(), "grpc_port": free_port()}
        rows = {"regions": [{"name": "WEST", "cluster": {"serving": serving}}]}
        (folder / "inventory.yaml").write_text(yaml.safe_dump(rows))
        registry = {"SINET_INVENTORY": str(folder / "inventory.yaml")}
        more = {"SINET_EXECUTOR": "regions", "KUBECONFIG": str(clusters.kubeconfig), **registry}
        clusters.env |= {"SINET_PROJECT": str(walk_project), **TRACED, **registry}
        clusters.settings(SINET_HOME=str(home))
        instance = (walk_project / "dagster.yaml").read_text().replace(CURRENT_HOME, str(home))
        clusters.instance(instance, name=STEP_INSTANCE)
        for cluster in clusters.clusters.values():
            cluster.slots = 1  # three steps at once on a machine of two cores
        command = [sys.executable, "-W", "ignore", "-c", "from sinet_pipelines.cli.main import main; main()"]
        result = subprocess.run(
            [*command, "run", "--data", str(small_cmapss), "--home", str(home), "--json"],
            cwd=CHECKOUT,
            env=environment_of(walk_project, **more),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        yield clusters, result
        subprocess.run([*command, "stop", "--home", str(home)], env=environment_of(walk_project), check=False)


def test_the_walk_ends_green(walked_in_clusters):
    _, result = walked_in_clusters
    assert result.returncode == 0, result.stderr[-5000:]
    facts = json.loads(result.stdout)
    assert not facts["failed"]
    assert [endpoint["ready"] for endpoint in facts["endpoints"]] == [True]


def test_the_endpoint_answers_after_the_pod_of_its_step_is_gone(walked_in_clusters):
    clusters, result = walked_in_clusters
    west = clusters.clusters["WEST"]
    live = [pod for pod in west.pods.values() if pod.is_live]
    assert [pod.owner_kind for pod in live] == ["ReplicaSet"]
    (endpoint,) = json.loads(result.stdout)["endpoints"]
    assert (endpoint["target"], endpoint["reason"], endpoint["known"]) == ("deployment", "", True)
    assert ready_models(endpoint["url"]) == (MODEL,)


def test_each_region_ran_its_own_steps_and_no_other(walked_in_clusters):
    clusters, _ = walked_in_clusters
    ran = {}
    for name, cluster in clusters.clusters.items():
        jobs = list(cluster.jobs.values())
        assert {job.body["metadata"]["labels"]["sinet.ai/region"] for job in jobs} == {name}
        assert all(job.condition and job.condition[0] == "Complete" for job in jobs)
        ran[name] = {job.body["metadata"]["labels"]["dagster/op"] for job in jobs}
    for region in REGIONS:
        others = {op for name, ops in ran.items() if name != region.name for op in ops}
        assert {op for op in ran[region.name] if op.startswith(f"{region.name}__")}
        assert not {op for op in others if op.startswith(f"{region.name}__")}
