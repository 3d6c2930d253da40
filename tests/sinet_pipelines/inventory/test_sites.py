"""A cluster's row that no cluster could have is refused when it is read, with what is allowed."""

from dataclasses import replace

import pytest

from sinet_pipelines.errors import InventoryError
from tests.inventory import EAST


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run_as_user": 0}, "pods run as user 0; give a number from 1 to 2147483647, 0 is root"),
        ({"run_as_user": 2**31}, "pods run as user 2147483648"),
        ({"quota": {"requests.cpu": "many"}}, "requests.cpu: many is no amount; give one as Kubernetes spells it"),
        ({"default_limits": {"memory": "-1Gi"}}, "memory: -1Gi is no amount"),
        ({"egress_ports": (443, 0)}, r"egress_ports are \(443, 0\); give ports from 1 to 65535"),
        ({"files_gib": 0}, "files_gib or nodes below 1"),
        ({"nodes": {"cpu": 0}}, "files_gib or nodes below 1"),
        ({"namespace": "../etc"}, "the namespace of a cluster is '../etc'; allowed are small letters, digits and '-'"),
        ({"env_secrets": ("a; rm -rf ~",)}, "env_secrets of a cluster has 'a; rm -rf ~'; allowed are small letters"),
        ({"image_pull_secrets": ("$(id)",)}, r"image_pull_secrets of a cluster has '\$\(id\)'"),
        ({"run_service_account": "Sinet"}, "run_service_account of a cluster has 'Sinet'"),
        ({"queue": "q" * 64}, "queue is 'qqqq"),
        ({"image_pull_policy": "always"}, "image_pull_policy is 'always'; allowed are IfNotPresent, Always, Never"),
        ({"image": ""}, "image is ''; name one without blanks"),
        ({"image": "registry/sinet :1"}, "image is 'registry/sinet :1'"),
        ({"node_labels": {"storage=fast": "yes"}}, "node_labels has 'storage=fast': 'yes'; allowed are at most 63"),
        ({"node_labels": {"rack": "x" * 64}}, "node_labels has 'rack': 'xxxx"),
        ({"node_labels": {"rack": "a b"}}, "node_labels has 'rack': 'a b'"),
        ({"env": {"4K": "1"}}, "env has '4K'; a variable has letters, digits, _ . and -, no digit first"),
        ({"env": {"A=B": "1"}}, "env has 'A=B'"),
    ],
)
def test_a_row_that_no_cluster_could_have_is_refused(change, words):
    with pytest.raises(InventoryError, match=words):
        replace(EAST.cluster, **change)


@pytest.mark.parametrize("amount", ["64", "500m", "1.5", "2Gi", "3k"])
def test_amounts_are_spelled_as_kubernetes_does(amount):
    assert replace(EAST.cluster, quota={"requests.cpu": amount}).quota == {"requests.cpu": amount}


def test_names_and_labels_that_clusters_have_are_taken():
    labels = {"topology.kubernetes.io/region": "east-1", "k3s.io/hostname": "asrock_07", "rack": "", "1e3": "08"}
    names = {"namespace": "ml-1", "queue": "", "service_account": "a.b-c", "image": "r:5000/sinet@sha256:" + "a" * 64}
    row = replace(EAST.cluster, node_labels=labels, env={"my.env-NAME": "a=b c"}, **names)
    assert (row.node_labels, row.namespace) == (labels, "ml-1")
