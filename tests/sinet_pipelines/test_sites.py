"""A cluster's row that no cluster could have is refused when it is read, with what is allowed."""

from dataclasses import replace

import pytest

from sinet_pipelines.errors import RegistryError
from sinet_pipelines.regions import EAST


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
    ],
)
def test_a_row_that_no_cluster_could_have_is_refused(change, words):
    with pytest.raises(RegistryError, match=words):
        replace(EAST.cluster, **change)


@pytest.mark.parametrize("amount", ["64", "500m", "1.5", "2Gi", "3k"])
def test_amounts_are_spelled_as_kubernetes_does(amount):
    assert replace(EAST.cluster, quota={"requests.cpu": amount}).quota == {"requests.cpu": amount}
