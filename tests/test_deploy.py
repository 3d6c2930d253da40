"""What is shipped for production is what Dagster reads."""

import shutil

from tests.conftest import CHECKOUT


def test_the_instance_of_production_is_one_that_dagster_takes(tmp_path):
    from dagster._core.instance.config import dagster_instance_config

    shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", tmp_path)
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["run_monitoring"]["max_resume_run_attempts"] == 3


def test_the_launcher_of_production_is_one_that_dagster_k8s_takes():
    import yaml
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher

    said = yaml.safe_load((CHECKOUT / "deploy" / "dagster.yaml").read_text())["run_launcher"]["config"]
    checked = process_config(K8sRunLauncher.config_type(), said)
    assert checked.success, checked.errors
