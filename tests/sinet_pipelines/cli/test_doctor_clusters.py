"""The doctor sees what a cluster lacks, and names a cure for each; an API server in memory is the patient."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from sinet_pipelines.cli.doctor import examine
from sinet_pipelines.cli.doctor_clusters import cluster_findings
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.regions import EAST, REGIONS
from sinet_pipelines.sites import TierKind
from tests.clusters.cluster import Cluster
from tests.clusters.server import ApiServer, Trouble, write_kubeconfig
from tests.conftest import CHECKOUT


def equip(server, region):
    """Sets the cluster up as docs/clusters.md says."""
    cluster, site = region.cluster, server.site
    site.namespaces.add(cluster.namespace)
    site.service_accounts.add((cluster.namespace, cluster.service_account))
    secrets = (*cluster.env_secrets, *cluster.image_pull_secrets)
    site.secrets.update((cluster.namespace, secret) for secret in secrets)
    maps = (*cluster.env_config_maps, cluster.step_instance_config_map)
    site.config_maps.update((cluster.namespace, name) for name in maps)
    site.claims.add((cluster.namespace, region.tier(TierKind.PARALLEL_FILES).where))
    site.queues.add((cluster.namespace, cluster.queue))
    site.priority_classes.update(cluster.priority_classes.values())
    for kind in map(get_hardware, region.hardware):
        if not kind.is_cpu:
            site.allocatable.append({kind.resource_name: "4"})
            site.node_labels.append(dict(kind.node_labels))


@pytest.fixture
def patients(tmp_path):
    """A server a region, well equipped, and the kubeconfig."""
    servers = {}
    for region in REGIONS:
        model = Cluster(region.name, now=lambda: 0.0, start=lambda name, pod: pytest.fail("nothing is to start"))
        servers[region.name] = ApiServer(model)
        equip(servers[region.name], region)
    contexts = {region.cluster.kubeconfig_context: servers[region.name].url for region in REGIONS}
    yield servers, str(write_kubeconfig(tmp_path / "kubeconfig", contexts))
    for server in servers.values():
        server.close()


@pytest.fixture
def patient(patients):
    servers, kubeconfig = patients
    return servers["EAST"], lambda region=EAST: {
        finding.name: finding for finding in cluster_findings(region, kubeconfig=kubeconfig)
    }


def lacks(findings):
    return {name: (one.found, one.cure) for name, one in findings.items() if not one.ok}


def test_a_cluster_that_is_set_up_lacks_nothing(patients):
    _, kubeconfig = patients
    for region in REGIONS:
        findings = list(cluster_findings(region, kubeconfig=kubeconfig))
        assert [one for one in findings if not one.ok] == []
        assert len(findings) > 10


def test_a_context_that_is_not_there_is_named(patient):
    _, look = patient
    elsewhere = replace(EAST, cluster=replace(EAST.cluster, kubeconfig_context="moon"))
    ((found, cure),) = lacks(look(elsewhere)).values()
    assert "no usable context 'moon'" in found
    assert "`kubeconfig_context` of EAST" in found


def test_a_cluster_that_does_not_answer_is_one_finding(patient):
    server, look = patient
    server.close()
    ((name, (found, cure)),) = lacks(look()).items()
    assert (name, "does not answer" in found, bool(cure)) == ("EAST API", True, True)


def test_a_user_whose_token_has_run_out_is_told_to_renew_it(patient):
    server, look = patient
    server.token = "another"
    found = look()["EAST API"]
    assert (found.ok, found.found) == (False, "the API answers 401 (Unauthorized)")
    assert found.cure.startswith("renew the token")


def test_a_certificate_that_is_not_trusted_is_a_finding(own_certificate, tmp_path):
    model = Cluster("EAST", now=lambda: 0.0, start=lambda name, pod: pytest.fail("nothing is to start"))
    with ApiServer(model, certificate=own_certificate) as server:
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {EAST.cluster.kubeconfig_context: server.url})
        found = {one.name: one for one in cluster_findings(EAST, kubeconfig=str(kubeconfig))}
    assert not found["EAST API"].ok
    assert "certificate verify failed" in found["EAST API"].found
    assert "certificate-authority" in found["EAST API"].cure


def test_missing_permissions_are_spelled(patient):
    server, look = patient
    server.site.denied = {("delete", "jobs"), ("get", "pods/log")}
    assert lacks(look())["EAST permissions"][0] == "may not delete jobs, get pods/log"


@pytest.mark.parametrize(
    ("part", "name", "cure"),
    [
        ("namespaces", "EAST namespace", "kubectl --context east create namespace sinet"),
        (
            "service_accounts",
            "EAST service account",
            "kubectl --context east -n sinet create serviceaccount sinet-step",
        ),
        ("queues", "EAST local queue sinet", "LocalQueue"),
        ("config_maps", "EAST config map dagster-step-instance", "create configmap dagster-step-instance"),
        ("secrets", "EAST secret sinet-secrets", "create secret generic sinet-secrets"),
        ("claims", "EAST claim sinet-files", "PersistentVolumeClaim sinet-files"),
        ("priority_classes", "EAST priority class sinet-high", "create priorityclass sinet-high"),
    ],
)
def test_what_is_not_set_up_is_named_with_its_cure(patient, part, name, cure):
    server, look = patient
    getattr(server.site, part).clear()
    found, said = lacks(look())[name]
    assert found == "is not there"
    assert cure in said


def test_hardware_whose_device_plugin_hands_nothing_over_is_named(patient):
    server, look = patient
    server.site.allocatable[0] = {}
    found, cure = lacks(look())["EAST nvidia-h100"]
    assert found == "0 of nvidia.com/gpu on nodes with nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"
    assert "device plugin" in cure


def test_an_image_without_a_tag_is_no_image_to_rely_on(patient):
    _, look = patient
    loose = replace(EAST, cluster=replace(EAST.cluster, image="registry.east/sinet"))
    assert "tag or digest" in lacks(look(loose))["EAST image"][1]


def test_what_may_not_be_looked_at_says_so(patient):
    server, look = patient
    server.gate = lambda method, path: Trouble(status=403) if path == "/api/v1/nodes" else None
    found, cure = lacks(look())["EAST nodes"]
    assert found == "may not be seen by the user of the context"
    assert "leave to list nodes" in cure


def test_a_user_who_may_not_read_secrets_lacks_nothing(patient):
    server, look = patient
    server.gate = lambda method, path: Trouble(status=403) if "/secrets/" in path else None
    assert lacks(look()) == {}


def test_the_command_looks_at_all_clusters_when_asked(patients, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", patients[1])  # `$KUBECONFIG`
    monkeypatch.setenv("SINET_PROJECT", str(CHECKOUT))
    monkeypatch.chdir(tmp_path)
    examine(home=None, as_json=True, clusters=True)
    names = {finding["name"] for finding in json.loads(capsys.readouterr().out)}
    assert {f"{region.name} permissions" for region in REGIONS} <= names


def test_the_command_from_the_console_looks_at_clusters_as_well(patients, tmp_path):
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("SINET_", "DAGSTER_", "PYTHONPATH"))
    }
    command = [sys.executable, "-W", "ignore", "-c", "from sinet_pipelines.cli.main import main; main()"]
    said = subprocess.run(
        [*command, "doctor", "--clusters", "--json"],
        cwd=tmp_path,
        env={**env, "KUBECONFIG": patients[1], "SINET_PROJECT": str(CHECKOUT), "PYTHONPATH": str(library_of(tmp_path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    findings = {finding["name"]: finding for finding in json.loads(said.stdout)}
    assert findings["EAST permissions"]["ok"], said.stderr


def library_of(folder):
    """A folder in which the library is alone, as where its wheel is installed."""
    (folder / "installed").mkdir()
    (folder / "installed" / "sinet_pipelines").symlink_to(CHECKOUT / "sinet_pipelines")
    return folder / "installed"
