"""What clusters are set up with: every object is one that a cluster takes, and says what the rows say."""

import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import kubernetes_validate
import pytest
import yaml

from resources import pod_guard
from sinet_pipelines.deployment.cluster import rights
from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.manifests import deployment
from sinet_pipelines.manifests.control import CONFIGURED_BY
from sinet_pipelines.manifests.rights import LAUNCHES, RUNS, single_rules
from tests.clusters.pod_security import violations
from tests.conftest import CHECKOUT
from tests.inventory import EAST, NULL_ISLAND, REGIONS, WEST

KUBERNETES = "1.36"
FOREIGN = ("kueue.x-k8s.io", "kustomize.config.k8s.io")  # of no schema that is here


def files_of(*regions):
    shipped = CHECKOUT / "deploy"
    instance = yaml.safe_load((shipped / "dagster.yaml").read_text())
    return deployment.files(regions, instance=instance, step_instance=(shipped / "dagster-step.yaml").read_text())


def objects_of(files, folder):
    """The objects of a region's folder, by kind and name."""
    texts = [text for name, text in sorted(files.items()) if name.startswith(f"{folder}/") and name.endswith(".yaml")]
    found = [one for text in texts for one in yaml.safe_load_all(text)]
    return {(one["kind"], one.get("metadata", {}).get("name", "")): one for one in found}


@pytest.fixture(scope="module")
def files():
    return files_of(*REGIONS)


@pytest.fixture(scope="module")
def east(files):
    return objects_of(files, "east")


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_every_object_is_one_that_the_schema_accepts_and_every_pod_is_admitted(files, region):
    objects = objects_of(files, region.key)
    assert len(objects) > 15
    for one in objects.values():
        if not one["apiVersion"].startswith(FOREIGN):
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        if one["kind"] == "Deployment":
            assert violations(one["spec"]["template"]["spec"]) == ""


def test_the_same_rows_give_the_same_bytes(files):
    assert files_of(*REGIONS) == files
    assert not any(word in text for text in files.values() for word in ("password:", "token: e", "&id"))


def test_nothing_is_said_that_a_server_drops_since_each_apply_would_then_change_it(files):
    objects = [one for region in REGIONS for one in objects_of(files, region.key).values()]
    assert {name for one in objects for name in said_for_nothing(one)} <= {"emptyDir", "podSelector", "apiGroups"}


def said_for_nothing(value, name=""):
    if isinstance(value, dict) and value:
        return [found for key, one in value.items() for found in said_for_nothing(one, key)]
    if isinstance(value, list) and value:
        return [found for one in value for found in said_for_nothing(one, name)]
    is_default = value in ([], {}, None, "") or (value is False and name == "globalDefault")
    return [name] if is_default else []


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", ["east", "west", "null_island", "east/kueue"])
def test_kustomize_builds_each_folder(files, tmp_path, folder):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    built = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / folder)], capture_output=True, text=True, check=True, timeout=300
    )
    held = list(yaml.safe_load(files[f"{folder}/kustomization.yaml"])["resources"])
    wanted = [one for file in held for one in yaml.safe_load_all(files[f"{folder}/{file}"])]
    found = list(yaml.safe_load_all(built.stdout))
    assert Counter(one["kind"] for one in found) == Counter(one["kind"] for one in wanted)
    if "kueue" not in folder:
        assert found[0]["kind"] == "Namespace"


def test_the_namespace_enforces_the_restricted_standard(east):
    labels = east["Namespace", "sinet"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_steps_have_no_rights_and_runs_exactly_the_documented_ones(files, east):
    assert east["ServiceAccount", "sinet-step"]["automountServiceAccountToken"] is False
    bound = {one["subjects"][0]["name"] for (kind, _), one in east.items() if kind == "RoleBinding"}
    assert "sinet-step" not in bound
    assert east["Role", "sinet-run"]["rules"][: len(RUNS) + len(LAUNCHES)] == [*RUNS, *LAUNCHES]
    west = objects_of(files, "west")
    assert west["Role", "sinet-run"]["rules"][: len(RUNS)] == list(RUNS)
    assert "pods" not in [rule["resources"] for rule in west["Role", "sinet-run"]["rules"] if "delete" in rule["verbs"]]
    assert not [kind for kind, _ in [*east, *west] if kind.startswith("Cluster") and kind != "ClusterQueue"]


def serving_by(target):
    """EAST's objects where its row serves so."""
    cluster = replace(EAST.cluster, serving=replace(EAST.cluster.serving, target=target))
    return objects_of(files_of(replace(EAST, cluster=cluster), WEST, NULL_ISLAND), "east")


def test_the_endpoints_step_alone_may_apply_what_its_row_serves_with():
    assert ("ServiceAccount", "sinet-deploy") not in serving_by(ServingTarget.PROCESS)
    serves = serving_by(ServingTarget.DEPLOYMENT)
    rules = serves["Role", "sinet-deploy"]["rules"]
    assert rules == rights.rules(replace(EAST.cluster.serving, target=ServingTarget.DEPLOYMENT))
    assert {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create", "patch"]} in rules
    applies = [rule for rule in serves["Role", "sinet-run"]["rules"] if "deployments" in rule["resources"]]
    assert [rule["verbs"] for rule in applies] == [["get"]]  # whoever starts runs looks at endpoints


def test_dagster_is_in_one_cluster_alone_and_knows_its_image(files, east):
    assert ("Deployment", "sinet-daemon") in east
    assert not [kind for kind, _ in objects_of(files, "west") if kind == "Deployment"]
    for name in ("sinet-code", "sinet-webserver", "sinet-daemon"):
        (container,) = east["Deployment", name]["spec"]["template"]["spec"]["containers"]
        variables = {one["name"]: one.get("value") for one in container["env"]}
        assert variables["DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"] == "1"
        assert variables["DAGSTER_CURRENT_IMAGE"] == container["image"] == EAST.cluster.image


def test_one_daemon_alone_is_at_work_and_ends_itself_before_a_lost_node_is_given_up(east):
    spec = east["Deployment", "sinet-daemon"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:4] == ["python", "-m", pod_guard.__spec__.name, "--"]
    assert container["command"][4:6] == ["dagster-daemon", "run"]
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"] if "valueFrom" in one}
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid"}
    assert pod["automountServiceAccountToken"] is True
    assert ("get", "", "pods", "") in single_rules(tuple(east["Role", pod["serviceAccountName"]]["rules"]))
    node_is_lost_s = 40 - 10  # the node controller's grace, of which the last heartbeat is 10 s old at most
    for key in ("not-ready", "unreachable"):
        (one,) = (one for one in pod["tolerations"] if one["key"] == f"node.kubernetes.io/{key}")
        assert node_is_lost_s + one["tolerationSeconds"] > pod_guard.SILENCE_S + pod_guard.STOP_S + pod_guard.EVERY_S
    for name in ("sinet-code", "sinet-webserver"):
        assert "tolerations" not in east["Deployment", name]["spec"]["template"]["spec"]


def test_steps_and_runs_find_their_own_instance(files, east):
    of_runs = yaml.safe_load(east["ConfigMap", "dagster-instance"]["data"]["dagster.yaml"])
    assert of_runs["run_launcher"]["config"]["job_image"] == EAST.cluster.image
    for region in REGIONS:
        objects = objects_of(files, region.key)
        of_steps = yaml.safe_load(objects["ConfigMap", "dagster-step-instance"]["data"]["dagster.yaml"])
        assert "run_launcher" not in of_steps
        assert objects["ConfigMap", "sinet-settings"]["data"]["SINET_REGION"] == region.name
        assert (region is EAST) == (("ConfigMap", "dagster-instance") in objects)


def test_a_run_pod_mounts_what_it_is_told_and_is_admitted(east):
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    content = yaml.safe_load(east["ConfigMap", "dagster-instance"]["data"]["dagster.yaml"])["run_launcher"]["config"]
    assert process_config(K8sRunLauncher.config_type(), content).success
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image=content["job_image"], dagster_home=content["dagster_home"]),
        ["dagster", "api", "execute_run"],
        "dagster-run-1",
        user_defined_k8s_config=UserDefinedDagsterK8sConfig.from_dict(content["run_k8s_config"]),
    )
    plain = ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(plain, KUBERNETES, strict=True)
    pod = plain["spec"]["template"]["spec"]
    assert violations(pod) == ""
    assert pod["automountServiceAccountToken"] is True
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert {"kubeconfig": "/etc/sinet", "files": "/mnt/sinet", "home": "/home/sinet"}.items() <= mounts.items()


def test_a_namespace_lets_nobody_in_by_itself(east):
    deny = east["NetworkPolicy", "default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    out = east["NetworkPolicy", "allow-egress"]["spec"]["egress"]
    assert {port["port"] for rule in out for port in rule.get("ports", [])} >= {53, 443, 5432, 6443}


def test_a_quota_is_made_where_a_row_has_one(east):
    assert not [kind for kind, _ in east if kind in ("ResourceQuota", "LimitRange")]
    cluster = replace(
        EAST.cluster, quota={"requests.cpu": "64"}, default_limits={"memory": "1Gi"}, files_storage_class="nfs"
    )
    objects = objects_of(files_of(replace(EAST, cluster=cluster), WEST, NULL_ISLAND), "east")
    assert objects["ResourceQuota", "sinet"]["spec"] == {"hard": {"requests.cpu": "64"}}
    (limit,) = objects["LimitRange", "sinet"]["spec"]["limits"]
    assert limit["default"] == limit["defaultRequest"] == {"memory": "1Gi"}
    assert objects["PersistentVolumeClaim", "sinet-files"]["spec"]["storageClassName"] == "nfs"


def test_kueue_has_a_flavor_a_kind_and_the_quota_of_its_nodes():
    cluster = replace(EAST.cluster, nodes={"nvidia-h100": 3})
    files = files_of(replace(EAST, cluster=cluster), WEST, NULL_ISLAND)
    objects = objects_of(files, "east/kueue")
    (group,) = objects["ClusterQueue", "sinet-sinet"]["spec"]["resourceGroups"]
    quotas = {
        flavor["name"]: {one["name"]: one["nominalQuota"] for one in flavor["resources"]} for flavor in group["flavors"]
    }
    assert quotas["sinet-nvidia-h100"]["nvidia.com/gpu"] == "24"
    assert quotas["sinet-cpu"]["nvidia.com/gpu"] == "0"
    assert all(list(one) == group["coveredResources"] for one in quotas.values())
    assert {name for kind, name in objects if kind == "ResourceFlavor"} == set(quotas)
    assert objects["LocalQueue", "sinet"]["spec"] == {"clusterQueue": "sinet-sinet"}
    unqueued = replace(EAST, cluster=replace(cluster, queue=""))
    assert not [name for name in files_of(unqueued, WEST, NULL_ISLAND) if name.startswith("east/kueue")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs_dagster": False}, "no region runs Dagster; set .*runs_dagster: true"),
        ({"namespace": "../etc"}, "the namespace of a cluster is '../etc'"),
        ({"kubeconfig_context": "a; rm -rf ~"}, "EAST: the context 'a; rm -rf ~' has more than"),
    ],
)
def test_a_row_from_which_no_cluster_can_be_set_up_is_refused(change, words):
    with pytest.raises(InventoryError, match=words):
        files_of(replace(EAST, cluster=replace(EAST.cluster, **change)), WEST, NULL_ISLAND)


def test_two_regions_cannot_both_run_dagster():
    with pytest.raises(InventoryError, match="EAST, WEST runs Dagster; set .* of one region alone"):
        files_of(EAST, replace(WEST, cluster=replace(WEST.cluster, runs_dagster=True)), NULL_ISLAND)


def configured(files):
    """What the templates of Dagster's own pods say of their config maps, by Deployment."""
    found = objects_of(files, "east").items()
    return {
        name: one["spec"]["template"]["metadata"]["annotations"][CONFIGURED_BY]
        for (kind, name), one in found
        if kind == "Deployment"
    }


def test_other_config_maps_start_dagsters_pods_again_since_they_read_them_as_they_start(files):
    shipped = CHECKOUT / "deploy"
    instance = yaml.safe_load((shipped / "dagster.yaml").read_text())
    instance["concurrency"]["runs"]["max_concurrent_runs"] += 1
    step_instance = (shipped / "dagster-step.yaml").read_text()
    before = configured(files)
    after = configured(deployment.files(REGIONS, instance=instance, step_instance=step_instance))
    assert set(before) == set(after) == {"sinet-code", "sinet-daemon", "sinet-webserver"}
    assert not set(before.values()) & set(after.values())
    other = configured(deployment.files(REGIONS, instance=instance, step_instance=step_instance + "# a word\n"))
    assert other == after  # what steps alone read starts nothing


def test_another_mount_path_is_in_the_settings_and_starts_dagsters_pods_again(files):
    tiers = tuple(replace(one, mount_path=f"{one.mount_path}2") if one.mount_path else one for one in EAST.storage)
    moved = files_of(replace(EAST, storage=tiers), WEST, NULL_ISLAND)
    assert not set(configured(files).values()) & set(configured(moved).values())
