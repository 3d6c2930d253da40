"""What tests against clusters share: three API servers, and clusters whose pods are real processes."""

import pytest

from tests.clusters.bench import bench
from tests.clusters.processes import Clusters


@pytest.fixture(scope="session")
def simulations(tmp_path_factory):
    """What makes a simulation of a seed: servers, kubeconfig, instance and graph are shared by all of them."""
    shared = bench(tmp_path_factory.mktemp("simulations"))
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def small_steps(tmp_path_factory):
    """The same for the graph of small steps, of which one pod may execute several."""
    shared = bench(tmp_path_factory.mktemp("small-steps"), "small_steps.py")
    yield shared
    shared.close()


@pytest.fixture
def clusters(tmp_path):
    """Three clusters whose pods are processes of this machine, an API server before each, and their kubeconfig."""
    with Clusters(tmp_path) as running:
        yield running
