"""Tracking and registry as resources: one home, one store, links only where somebody serves the pages."""

import subprocess
import sys

import dagster as dg
import pytest

from resources.registry import RegistryResource, registry_resource
from resources.tracking import TrackingResource, tracking_resource
from sinet_pipelines.registry.catalogue import list_models
from sinet_pipelines.registry.runs import RunRecord


@pytest.mark.slow
def test_what_a_step_tells_and_registers_is_in_the_homes_store(tmp_path):
    @dg.asset
    def model(tracking: TrackingResource, registry: RegistryResource) -> None:
        record = RunRecord("turbofan", "cnn", {"seed": 1}, {"rmse_cycles": 12.0}, {}, "abc")
        run = tracking.log_run(record, key="k")
        tracking.add_metrics(run.run_id, {"live_rmse_cycles": 13.0})
        version = registry.register("rul", b"graph", family="cnn", run_id=run.run_id, alias="champion")
        assert registry.champion("rul") == version
        assert registry.set_alias("rul", version.version) == version
        assert registry.load(version) == b"graph"
        assert tracking.run_url(run) == f"http://127.0.0.1:5000/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        assert registry.version_url(version) == "http://127.0.0.1:5000/#/models/rul/versions/1"

    pages = "http://127.0.0.1:5000"
    resources = {
        "tracking": tracking_resource(tmp_path, ui_url=pages),
        "registry": registry_resource(tmp_path, ui_url=pages),
    }
    assert dg.materialize([model], resources=resources).success
    assert list_models(tmp_path) == [
        {"name": "rul", "version": 1, "aliases": ["champion"], "family": "cnn", "precision": "", "verdict": ""}
    ]


def test_there_is_no_link_to_pages_that_nobody_serves(tmp_path):
    from sinet_pipelines.registry.runs import LoggedRun

    assert tracking_resource(tmp_path).run_url(LoggedRun("r", "1", is_new=True)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["tracking", "registry", "feature_store"])
def test_a_resource_brings_no_heavy_framework_when_it_is_made(tmp_path, module):
    script = (
        f"import sys; from pathlib import Path; from resources.{module} import {module}_resource as make;"
        f"make(Path({str(tmp_path)!r})); print({{'mlflow', 'feast', 'torch', 'sklearn'}} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert result.stdout == "set()\n"
    assert list(tmp_path.iterdir()) == []
