"""What is shipped for production is what Dagster reads, and each file opens with the rights that its pods have."""

import shutil

import pytest
import yaml

from tests.conftest import CHECKOUT

SHIPPED = ("dagster.yaml", "dagster-step.yaml")


def shipped(name):
    return yaml.safe_load((CHECKOUT / "deploy" / name).read_text())


@pytest.fixture
def in_a_pod(tmp_path, monkeypatch):
    """Opens a shipped file as a pod without a token does; SQLite stands in for PostgreSQL, which wants a server."""
    from dagster import DagsterInstance

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")

    def opened(name):
        (tmp_path / "dagster.yaml").write_text(
            yaml.safe_dump({**shipped(name), "storage": {"sqlite": {"base_dir": str(tmp_path)}}})
        )
        return DagsterInstance.get()

    return opened


@pytest.mark.parametrize("name", SHIPPED)
def test_the_instances_of_production_are_ones_that_dagster_takes(tmp_path, name):
    from dagster._core.instance.config import dagster_instance_config

    shutil.copy(CHECKOUT / "deploy" / name, tmp_path / "dagster.yaml")
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["storage"] == {"postgres": {"postgres_url": {"env": "SINET_POSTGRES_URL"}}}
    assert not config["telemetry"]["enabled"]


def test_the_launcher_of_production_is_one_that_dagster_k8s_takes():
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher

    checked = process_config(K8sRunLauncher.config_type(), shipped("dagster.yaml")["run_launcher"]["config"])
    assert checked.success, checked.errors


def test_a_step_opens_its_instance_without_a_token(in_a_pod):
    with in_a_pod("dagster-step.yaml") as instance:
        assert not instance.run_monitoring_enabled
        assert instance.get_runs() == []


def test_the_instance_of_runs_wants_a_token_which_is_why_steps_have_another(in_a_pod):
    from kubernetes.config import ConfigException

    with pytest.raises(ConfigException, match="Service token file does not exist"):
        in_a_pod("dagster.yaml")


def test_a_run_that_lost_its_pod_is_taken_over():
    assert shipped("dagster.yaml")["run_monitoring"]["max_resume_run_attempts"] == 3
    assert not {"run_launcher", "run_monitoring", "run_coordinator"} & set(shipped("dagster-step.yaml"))
