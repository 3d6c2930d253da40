"""Which Dagster instance a command opens: the home's own on one machine, the deployment's in a pod of its cluster."""

import os
import shutil

import pytest

from sinet_pipelines.cli.home import OWN_INSTANCE, make_home
from sinet_pipelines.cli.orchestrator import enter
from tests.conftest import CHECKOUT


@pytest.fixture
def entered(monkeypatch, tmp_path):
    """Enters a home of this name with the executor that is given; returns where its instance is."""
    for name in ("SINET_PROJECT", "SINET_HOME", "SINET_EXECUTOR", "DAGSTER_HOME", OWN_INSTANCE):
        monkeypatch.setenv(name, "")  # so that it is afterwards as it was before

    def enter_it(name, *, executor):
        monkeypatch.setenv("SINET_EXECUTOR", executor)
        home = make_home(tmp_path / name)
        enter(CHECKOUT, home)
        return os.environ["DAGSTER_HOME"], home

    return enter_it


@pytest.fixture
def of_clusters(entered, monkeypatch, tmp_path):
    """The folder of a deployment's instance, which the process was started with."""
    folder = tmp_path / "deployment"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return str(folder)


def test_in_a_pod_the_instance_of_the_deployment_stays(entered, of_clusters):
    found, home = entered("home", executor="regions")
    assert found == of_clusters
    assert not (home / "dagster" / "dagster.yaml").exists()


def test_on_one_machine_a_home_has_its_own(entered, of_clusters):
    found, home = entered("home", executor="in_process")
    assert found == str(home / "dagster")
    assert (home / "dagster" / "dagster.yaml").exists()


def test_a_second_home_of_a_process_does_not_take_the_firsts(entered):
    entered("one", executor="regions")
    found, home = entered("two", executor="regions")
    assert found == str(home / "dagster")


def test_a_home_whose_state_was_removed_gets_an_instance_again(entered):
    folder, home = entered("home", executor="in_process")
    shutil.rmtree(folder)
    enter(CHECKOUT, home)
    assert (home / "dagster" / "dagster.yaml").exists()
