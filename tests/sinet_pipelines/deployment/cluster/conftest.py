"""WEST's cluster behind prepared answers, and an endpoint to apply to it."""

from dataclasses import replace

import pytest

from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.deployment.cluster.wanted import Wanted
from sinet_pipelines.inventory.sites import ServingTarget
from tests.inventory import WEST
from tests.sinet_pipelines.deployment.cluster.answers import Api, kubeconfig


@pytest.fixture
def answers():
    """An API without any object."""
    api = Api()
    yield api
    api.close()


@pytest.fixture
def region(tmp_path, answers):
    """WEST, whose context leads to the API; `region(replicas=2)` for another row of its serving."""

    def row(target=ServingTarget.DEPLOYMENT, **serving):
        file = kubeconfig(tmp_path / "kubeconfig", answers.url, "west")
        said = replace(WEST.cluster.serving, target=target, **{"address": "http://models.west.test", **serving})
        return replace(WEST, cluster=replace(WEST.cluster, kubeconfig_file=str(file), serving=said))

    return row


@pytest.fixture
def api(region):
    """The client of WEST's cluster."""
    return connect(region(), own_region=None)


def wanted(version: str = "1", sha256: str = "a") -> Wanted:
    return Wanted("rul", version, sha256 * 64, "b" * 64, "/mnt/sinet/home")
