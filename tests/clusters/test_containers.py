"""Pods of the test clusters are containers: their children end with them, and they see what their spec says."""

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

import kubernetes
import psutil
import pytest

from tests.inventory import EAST
from tests.waiting import until

NAMESPACE = EAST.cluster.namespace
LEAVES_A_SERVER = """
import os, time
child = os.fork()
if child == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.waitpid(child, 0)  # the server is there by now
print(os.stat("/proc/self/ns/pid").st_ino)
"""


@pytest.fixture
def core(clusters):
    client = kubernetes.config.new_client_from_config(str(clusters.of_operator()), EAST.cluster.kubeconfig_context)
    yield kubernetes.client.CoreV1Api(client)
    client.close()


@pytest.fixture
def run(clusters, core):
    """Runs a command in a pod of EAST to its end; returns what it wrote."""

    def runs(*command, container=None, **spec):
        worker = {"name": "dagster", "image": "x", "command": list(command), **(container or {})}
        template = {"spec": {"restartPolicy": "Never", "containers": [worker], **spec}}
        body = {"metadata": {"name": "job"}, "spec": {"backoffLimit": 0, "template": template}}
        cluster = clusters.clusters["EAST"]
        cluster.create(NAMESPACE, body)
        until(lambda: cluster.jobs[NAMESPACE, "job"].is_finished)
        (pod,) = cluster.pods.values()
        return pod.log

    return runs


def in_namespace(inode):
    found = []
    for process in psutil.process_iter():
        try:
            if Path(f"/proc/{process.pid}/ns/pid").stat().st_ino == inode:
                found.append(process)
        except OSError:
            continue
    return found


def test_what_a_step_leaves_running_in_another_session_ends_with_its_pod(run):
    inode = int(run(sys.executable, "-c", LEAVES_A_SERVER))
    assert in_namespace(inode) == []


def test_a_pod_sees_the_variables_of_its_spec_and_its_image_alone(run, clusters, monkeypatch):
    monkeypatch.setenv("SINET_SECRET_OF_THE_TESTS", "here")
    clusters.settings(SINET_HOME="/mnt/sinet/home")
    entry = {"configMapRef": {"name": EAST.cluster.env_config_maps[0]}}
    named = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    result = run("env", container={"envFrom": [entry], "env": [named, {"name": "TWICE", "value": "$(POD)-$(POD)"}]})
    seen = dict(line.split("=", 1) for line in result.splitlines())
    assert (seen["SINET_HOME"], seen["SINET_EXECUTOR"]) == ("/mnt/sinet/home", "regions")
    assert seen["TWICE"] == f"{seen['POD']}-{seen['POD']}"
    assert seen["KUBERNETES_SERVICE_HOST"] == "127.0.0.1"
    assert "SINET_SECRET_OF_THE_TESTS" not in seen
    assert "DAGSTER_HOME" not in seen


def test_a_pod_has_a_token_only_where_its_spec_or_account_mounts_it(run):
    result = run("ls", "/var/run/secrets/kubernetes.io", automountServiceAccountToken=False)
    assert "No such file" in result


@pytest.mark.parametrize(
    ("account", "verb", "words"),
    [
        ("sinet-run", "list_namespaced_pod", "1"),
        (
            "sinet-step",
            "list_namespaced_pod",
            'pods is forbidden: User "system:serviceaccount:sinet:sinet-step" cannot list resource "pods" in API group '
            '"" in the namespace "sinet"',
        ),
        (
            "sinet-run",
            "list_namespaced_secret",
            'secrets is forbidden: User "system:serviceaccount:sinet:sinet-run" cannot list resource "secrets" in API '
            'group "" in the namespace "sinet"',
        ),
    ],
)
def test_a_mounted_token_has_the_rights_of_its_account(run, account, verb, words):
    asks = f"""
import json
from kubernetes import client, config
config.load_incluster_config()
try:
    print(len(client.CoreV1Api().{verb}("sinet").items))
except client.ApiException as error:
    print(error.status, json.loads(error.body)["message"])
"""
    result = run(sys.executable, "-W", "ignore", "-c", asks, serviceAccountName=account)
    assert result.strip() == (words if words == "1" else f"403 {words}")


def test_volumes_are_where_the_spec_mounts_them(run, clusters, core):
    clusters.instance("storage: here\n", name="dagster-instance")
    secret = kubernetes.client.V1Secret(
        metadata=kubernetes.client.V1ObjectMeta(name="keys"), data={"key": base64.b64encode(b"s3").decode()}
    )
    secret.kind = "Secret"
    core.create_namespaced_secret(NAMESPACE, secret)
    volumes = [
        {"name": "files", "persistentVolumeClaim": {"claimName": "sinet-files"}},
        {"name": "instance", "configMap": {"name": "dagster-instance"}},
        {"name": "keys", "secret": {"secretName": "keys"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "files", "mountPath": "/mnt/sinet"},
        {"name": "instance", "mountPath": "/opt/dagster/dagster_home/dagster.yaml", "subPath": "dagster.yaml"},
        {"name": "keys", "mountPath": "/etc/keys", "readOnly": True},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    script = (
        "cat /opt/dagster/dagster_home/dagster.yaml /etc/keys/key; echo; echo kept > /mnt/sinet/file; "
        "echo gone > /scratch/file && echo written; echo x > /etc/keys/more"
    )
    result = run("sh", "-c", script, container={"volumeMounts": mounts}, volumes=volumes)
    assert result.splitlines()[:3] == ["storage: here", "s3", "written"]
    assert "Read-only file system" in result
    assert (clusters.folder / "claims" / "EAST" / "file").exists() is False
    assert (clusters.folder / "claims" / "EAST" / "sinet-files" / "file").read_text() == "kept\n"


def test_a_request_without_or_with_a_wrong_token_is_refused_in_the_servers_words(clusters):
    context = ssl.create_default_context(cafile=str(clusters.folder / "ca.crt"))
    url = f"{clusters.servers['EAST'].url}/api/v1/namespaces/{NAMESPACE}/pods"
    answers = []
    for headers in ({}, {"Authorization": "Bearer stale"}):
        request = urllib.request.Request(url, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, context=context)
        answers.append((refused.value.code, json.load(refused.value)["message"]))
        refused.value.close()
    forbidden = (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace'
    )
    assert answers == [(403, f'{forbidden} "{NAMESPACE}"'), (401, "Unauthorized")]
