"""The doctor sees what a cluster lacks, and names a cure; clusters are set up by what `sinet render` writes."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from sinet_pipelines.cli.doctor import examine
from sinet_pipelines.cli.doctor_clusters import cluster_findings
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.inventory.streams import Stream
from sinet_pipelines.manifests import deployment
from tests.clusters.server import write_kubeconfig
from tests.conftest import CHECKOUT
from tests.inventory import EAST, REGIONS, WEST, get_hardware
from tests.standing import Standing, path_of

URL = "postgresql+psycopg2://sinet:s3cret@db.example:5432/dagster"


def manifests(region):
    """What `sinet render --deploy` writes for a region, applied."""
    shipped = CHECKOUT / "deploy"
    instance = yaml.safe_load((shipped / "dagster.yaml").read_text())
    files = deployment.files(REGIONS, instance=instance, step_instance=(shipped / "dagster-step.yaml").read_text())
    texts = [text for name, text in files.items() if name.startswith(f"{region.key}/") and "kustomization" not in name]
    return [one for text in texts for one in yaml.safe_load_all(text)]


def secret(name, *, kind="Opaque", **values):
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": "sinet"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}


def add(server, found):
    server.objects[path_of(found)] = found


def of_the_cluster(api, kind, name):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}}


def node(name, labels, **devices):
    allocatable = {"cpu": "64", **devices}
    return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": allocatable}}


def equipped(region):
    """A server of a region's cluster, set up as docs/clusters.md says."""
    server = Standing(
        *manifests(region),
        secret("sinet-secrets", SINET_POSTGRES_URL=URL),
        secret("sinet-kubeconfig", config="apiVersion: v1"),
        of_the_cluster("node.k8s.io/v1", "RuntimeClass", "nvidia"),
        of_the_cluster("storage.k8s.io/v1", "StorageClass", "local-nvme"),
    )
    server.named("PersistentVolumeClaim", "sinet-files")["status"] = {"phase": "Bound"}
    kinds = [kind for kind in map(get_hardware, region.hardware) if not kind.is_cpu]
    own = region.cluster.node_labels
    server.nodes = [
        node("plain", dict(own)),
        *(node(kind.id, {**own, **kind.node_labels}, **{kind.resource_name: "4"}) for kind in kinds),
    ]
    return server


@pytest.fixture
def patients(tmp_path):
    """A server a region, well equipped, and the kubeconfig."""
    servers = {region.name: equipped(region) for region in REGIONS}
    contexts = {region.cluster.kubeconfig_context: servers[region.name].url for region in REGIONS}
    yield servers, str(write_kubeconfig(tmp_path / "kubeconfig", contexts))
    for server in servers.values():
        server.close()


@pytest.fixture
def patient(tmp_path):
    server = equipped(EAST)
    kubeconfig = str(write_kubeconfig(tmp_path / "kubeconfig", {EAST.cluster.kubeconfig_context: server.url}))
    yield (
        server,
        lambda region=EAST: {one.name: one for one in cluster_findings(region, kubeconfig=kubeconfig)},
    )
    server.close()


def lacks(findings):
    return {name: (one.found, one.cure) for name, one in findings.items() if one.ok is False}


def unknown(findings):
    return {name: one.found for name, one in findings.items() if one.ok is None}


def test_a_cluster_that_is_set_up_by_the_rendered_manifests_lacks_nothing(patients):
    _, kubeconfig = patients
    for region in REGIONS:
        findings = {one.name: one for one in cluster_findings(region, kubeconfig=kubeconfig)}
        assert lacks(findings) == {}
        assert list(unknown(findings)) == [f"{region.name} image"]  # the registry is not asked
        assert len(findings) > 15


@pytest.mark.parametrize("region", [EAST, WEST], ids=lambda region: region.name)
def test_with_exactly_the_documented_rights_nothing_is_called_lacking(patients, region):
    servers, kubeconfig = patients
    servers[region.name].rules = servers[region.name].named("Role", "sinet-run")["rules"]
    findings = {one.name: one for one in cluster_findings(region, kubeconfig=kubeconfig)}
    assert lacks(findings) == {}
    assert findings[f"{region.name} permissions"].ok
    assert unknown(findings)[f"{region.name} rights of sinet-run"] == "unknown (needs create localsubjectaccessreviews)"
    assert unknown(findings)[f"{region.name} secret sinet-secrets"] == "unknown (needs get secrets)"
    assert unknown(findings)[f"{region.name} nodes"] == "unknown (needs list nodes)"


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
    assert (name, "does not respond" in found, "its address" in cure) == ("EAST API", True, True)


def test_a_credential_that_is_refused_is_not_taken_for_a_wrong_address(patient):
    server, look = patient
    server.token = "another"
    found = look()["EAST API"]
    assert (found.ok, "refuses the credential (401)" in found.found) == (False, True)
    assert found.cure.startswith("renew the token")
    assert "address" not in found.cure


def test_a_certificate_that_is_not_trusted_is_a_finding(own_certificate, tmp_path):
    server = Standing(certificate=own_certificate)
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {EAST.cluster.kubeconfig_context: server.url})
    found = {one.name: one for one in cluster_findings(EAST, kubeconfig=str(kubeconfig))}
    server.close()
    assert not found["EAST API"].ok
    assert "certificate verify failed" in found["EAST API"].found
    assert "certificate-authority" in found["EAST API"].cure


def test_missing_permissions_are_spelled(patient):
    server, look = patient
    rules = server.named("Role", "sinet-run")["rules"]
    server.rules = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "delete"]} for rule in rules]
    assert lacks(look())["EAST permissions"][0] == "may not delete jobs, delete pods"


@pytest.mark.parametrize(
    ("kind", "name", "finding", "cure"),
    [
        ("Namespace", "sinet", "namespace", "kubectl --context east create namespace sinet"),
        ("ServiceAccount", "sinet-step", "service account sinet-step", "create serviceaccount sinet-step"),
        ("ServiceAccount", "sinet-run", "service account sinet-run", "create serviceaccount sinet-run"),
        ("ConfigMap", "sinet-settings", "config map sinet-settings", "apply -k DIR/east"),
        ("ConfigMap", "dagster-step-instance", "config map dagster-step-instance", "apply -k DIR/east"),
        ("ConfigMap", "dagster-instance", "config map dagster-instance", "apply -k DIR/east"),
        ("Secret", "sinet-secrets", "secret sinet-secrets", "DIR/secrets.sh FILE"),
        ("Secret", "sinet-kubeconfig", "secret sinet-kubeconfig", "DIR/kubeconfig.sh"),
        ("PersistentVolumeClaim", "sinet-files", "claim sinet-files", "apply -k DIR/east"),
        ("PriorityClass", "sinet-high", "priority class sinet-high", "create priorityclass sinet-high"),
        ("RuntimeClass", "nvidia", "runtime class nvidia", "operator of the devices"),
        ("StorageClass", "local-nvme", "storage class local-nvme", "name another class in the storage"),
        ("LocalQueue", "sinet", "local queue sinet", "apply -k DIR/east/kueue"),
    ],
)
def test_what_is_not_set_up_is_named_with_its_cure(patient, kind, name, finding, cure):
    server, look = patient
    server.drop(kind, name)
    ((what, (found, found_here)),) = lacks(look()).items()
    assert (what, found) == (f"EAST {finding}", "does not exist")
    assert cure in found_here


def test_where_a_cluster_serves_models_the_account_that_applies_endpoints_is_looked_for(patient):
    server, look = patient
    server.objects.pop("/api/v1/namespaces/sinet/serviceaccounts/sinet-deploy", None)
    serving = replace(EAST.cluster.serving, target=ServingTarget.DEPLOYMENT)
    found = lacks(look(replace(EAST, cluster=replace(EAST.cluster, serving=serving))))
    assert list(found) == [
        "EAST rights of sinet-run",
        "EAST rights of sinet-deploy",
        "EAST service account sinet-deploy",
    ]
    finding, cure = found["EAST rights of sinet-deploy"]
    assert finding.startswith("may not get deployments, create deployments, patch deployments, get services")
    assert "give service account sinet-deploy in sinet its Role (`kubectl --context east apply -k DIR/east`" in cure
    assert found["EAST rights of sinet-run"][0] == "may not get deployments, get services, get poddisruptionbudgets"


def test_the_options_of_a_streams_client_are_looked_for(patient):
    server, look = patient
    streaming = replace(EAST, streams=(Stream("nats://broker/mills", "milling", options_secret="nats-mills"),))
    found, cure = lacks(look(streaming))["EAST secret nats-mills"]
    assert "create secret generic nats-mills --from-file=options.json=FILE" in cure
    add(server, secret("nats-mills", **{"nats.json": "{}"}))
    assert lacks(look(streaming))["EAST secret nats-mills"] == (
        "has no key options.json (it has: nats.json)",
        "rename its key",
    )
    server.drop("Secret", "nats-mills")
    add(server, secret("nats-mills", **{"options.json": "{}"}))
    assert lacks(look(streaming)) == {}


def test_rights_that_accounts_lost_are_named_with_the_account(tmp_path):
    server = equipped(WEST)
    kubeconfig = str(write_kubeconfig(tmp_path / "kubeconfig", {WEST.cluster.kubeconfig_context: server.url}))
    for account, resource, verb in (("sinet-deploy", "deployments", "patch"), ("sinet-run", "services", "get")):
        role = server.named("Role", account)
        role["rules"] = [
            {**rule, "verbs": [one for one in rule["verbs"] if one != verb]} if resource in rule["resources"] else rule
            for rule in role["rules"]
        ]
    found = lacks({one.name: one for one in cluster_findings(WEST, kubeconfig=kubeconfig)})
    server.close()
    assert {name: got for name, (got, _) in found.items()} == {
        "WEST rights of sinet-deploy": "may not patch deployments",
        "WEST rights of sinet-run": "may not get services",
    }


def test_a_cluster_without_kueue_starts_steps_without_a_queue(patient):
    server, look = patient
    server.objects = {path: one for path, one in server.objects.items() if "kueue" not in path}
    assert (look()["EAST local queue sinet"].ok, lacks(look())) == (True, {})


def test_the_level_of_pod_security_is_shown(patient):
    server, look = patient
    assert "enforces Pod Security 'restricted'" in look()["EAST namespace"].found
    server.named("Namespace", "sinet")["metadata"].pop("labels")
    assert "enforces no level" in look()["EAST namespace"].found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://sinet:s3cret@db/dagster", "SINET_POSTGRES_URL starts with postgresql://"),
        ("sinet:s3cret@db/dagster", "SINET_POSTGRES_URL has no scheme"),
        ("s3cret@x://db", "SINET_POSTGRES_URL has no scheme"),
    ],
)
def test_another_scheme_of_the_database_is_named_without_its_password(patient, url, found):
    server, look = patient
    server.named("Secret", "sinet-secrets").update(secret("sinet-secrets", SINET_POSTGRES_URL=url))
    finding, cure = lacks(look())["EAST secret sinet-secrets"]
    assert finding == found
    assert "postgresql+psycopg2://" in cure
    assert "s3cret" not in finding + cure


def test_keys_that_are_not_there_are_named(patient):
    server, look = patient
    server.named("Secret", "sinet-secrets").update(secret("sinet-secrets", PASSWORD="s3cret"))
    server.named("Secret", "sinet-kubeconfig").update(secret("sinet-kubeconfig", kubeconfig="x"))
    server.named("ConfigMap", "dagster-instance")["data"] = {}
    assert {found for found, _ in lacks(look()).values()} == {
        "has no key SINET_POSTGRES_URL (it has: PASSWORD)",
        "has no key config (it has: kubeconfig)",
        "has no key dagster.yaml (it has: none)",
    }


def test_an_instance_of_steps_that_wants_a_token_is_named(patient):
    server, look = patient
    of_runs = server.named("ConfigMap", "dagster-instance")["data"]
    server.named("ConfigMap", "dagster-step-instance")["data"] = of_runs
    found, cure = lacks(look())["EAST config map dagster-step-instance"]
    assert found == "has run_launcher, run_monitoring"
    assert "deploy/dagster-step.yaml" in cure


def test_a_pull_secret_is_made_of_the_type_that_pulls_want(patient):
    server, look = patient
    private = replace(EAST, cluster=replace(EAST.cluster, image_pull_secrets=("registry-east",)))
    found, cure = lacks(look(private))["EAST secret registry-east"]
    assert (found, "create secret docker-registry registry-east" in cure) == ("does not exist", True)
    wrong = secret("registry-east", user="x")
    server.objects["/api/v1/namespaces/sinet/secrets/registry-east"] = wrong
    assert "is of type Opaque" in lacks(look(private))["EAST secret registry-east"][0]
    wrong["type"] = "kubernetes.io/dockerconfigjson"
    assert lacks(look(private)) == {}


@pytest.mark.parametrize(
    ("change", "ok", "words"),
    [
        ({"status": {"phase": "Pending"}}, None, "Pending, until a pod mounts it"),
        ({"status": {"phase": "Lost"}}, False, "is Lost"),
        ({"spec": {"accessModes": ["ReadWriteOnce"]}}, False, "can be mounted only as ReadWriteOnce"),
    ],
)
def test_a_claim_that_pods_may_not_be_able_to_mount_is_told(patient, change, ok, words):
    server, look = patient
    server.named("PersistentVolumeClaim", "sinet-files").update(change)
    found = look()["EAST claim sinet-files"]
    assert (found.ok, words in found.found) == (ok, True)


def test_a_cluster_without_nodes_is_none_to_rely_on(patient):
    server, look = patient
    server.nodes = []
    findings = look()
    assert lacks(findings)["EAST nodes"][0] == "0, so no pod starts"
    assert unknown(findings)["EAST nvidia-h100"] == "unknown: there are no nodes"


def test_nodes_without_the_labels_of_their_region_are_named(patient):
    server, look = patient
    for one in server.nodes:
        one["metadata"]["labels"].pop("topology.kubernetes.io/region")
    found, cure = lacks(look())["EAST node labels"]
    assert found == "0 of 6 nodes carry topology.kubernetes.io/region=east"
    assert cure == "kubectl --context east label nodes --all topology.kubernetes.io/region=east"


def test_hardware_whose_device_plugin_hands_nothing_over_is_named(patient):
    server, look = patient
    server.nodes[1]["status"]["allocatable"] = {}
    found, cure = lacks(look())["EAST nvidia-h100"]
    assert found == "0 of nvidia.com/gpu on nodes with nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"
    assert "device plugin" in cure


def test_an_image_without_a_tag_is_no_image_to_rely_on(patient):
    _, look = patient
    loose = replace(EAST, cluster=replace(EAST.cluster, image="registry.east/sinet"))
    assert "tag or digest" in lacks(look(loose))["EAST image"][1]
    assert "unknown whether its registry has it" in unknown(look())["EAST image"]


def test_the_scheme_of_the_database_of_this_process_is_looked_at(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SINET_POSTGRES_URL", "postgres://sinet:s3cret@db/dagster")
    assert examine(home=tmp_path, as_json=True) == 1
    output = capsys.readouterr().out
    (found,) = [one for one in json.loads(output) if one["name"] == "database"]
    assert (found["ok"], found["found"]) == (False, "SINET_POSTGRES_URL starts with postgres://")
    assert "s3cret" not in output


def test_the_command_looks_at_all_clusters_when_asked(patients, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", patients[1])  # `$KUBECONFIG`
    monkeypatch.setenv("SINET_PROJECT", str(CHECKOUT))
    monkeypatch.chdir(tmp_path)
    examine(home=None, as_json=True, clusters=True)
    names = {finding["name"] for finding in json.loads(capsys.readouterr().out)}
    assert {f"{region.name} permissions" for region in REGIONS} <= names


@pytest.mark.slow
def test_the_command_from_the_console_looks_at_clusters_as_well(patients, tmp_path):
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("SINET_", "DAGSTER_", "PYTHONPATH"))
    }
    command = [sys.executable, "-W", "ignore", "-c", "from sinet_pipelines.cli.main import main; main()"]
    result = subprocess.run(
        [*command, "doctor", "--clusters", "--json"],
        cwd=tmp_path,
        env={**env, "KUBECONFIG": patients[1], "SINET_PROJECT": str(CHECKOUT), "PYTHONPATH": str(library_of(tmp_path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert findings["EAST permissions"]["ok"], result.stderr


def library_of(folder):
    """A folder in which the library is alone, as where its wheel is installed."""
    (folder / "installed").mkdir()
    (folder / "installed" / "sinet_pipelines").symlink_to(CHECKOUT / "sinet_pipelines")
    return folder / "installed"


def test_a_thousand_devices_are_counted_though_a_server_spells_them_1k(patient):
    server, look = patient
    for one in server.nodes:
        allocatable = one["status"]["allocatable"]
        one["status"]["allocatable"] = {name: "1k" if count == "4" else count for name, count in allocatable.items()}
    findings = look()
    assert lacks(findings) == {}
    assert findings["EAST nvidia-h100"].found.startswith("1000 of nvidia.com/gpu on nodes with")


def test_a_namespace_that_is_being_deleted_is_not_taken_for_one_that_is_there(patient):
    server, look = patient
    server.named("Namespace", "sinet")["status"] = {"phase": "Terminating"}
    found, cure = lacks(look())["EAST namespace"]
    assert found == "sinet is being deleted and accepts no new objects"
    assert cure.startswith("kubectl --context east get namespace sinet -o yaml shows why")


def test_an_instance_file_of_steps_that_is_no_yaml_is_named(patient):
    server, look = patient
    server.named("ConfigMap", "dagster-step-instance")["data"]["dagster.yaml"] = "storage: [\n"
    found, cure = lacks(look())["EAST config map dagster-step-instance"]
    assert found.startswith("dagster.yaml is not YAML: ")
    assert cure == "use deploy/dagster-step.yaml"
