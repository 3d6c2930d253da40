"""The champion's alias on what is none of our versions: a training goes on, and its challenger is judged alone."""

import dagster as dg
import polars as pl
import pytest

from resources.registry import registry_resource
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of


@pytest.mark.slow
def test_a_champion_that_was_registered_by_hand_is_no_comparison_and_no_error(tmp_path):
    from assets.turbofan.evaluation import MODEL
    from assets.turbofan.gates import champion_answers

    tracking = tracking_of(tmp_path)
    run = log_run(tracking, RunRecord("fleet", "trees", {}, {}, {}, ""), key="one")
    tracking.client.create_registered_model(MODEL)
    version = tracking.client.create_model_version(MODEL, "file:///nowhere", run_id=run.run_id).version
    tracking.client.set_registered_model_alias(MODEL, "champion", version)
    registry = registry_resource(tmp_path)
    assert registry.champion(MODEL).version == int(version)
    context = dg.build_asset_context(resources={"registry": registry})
    assert champion_answers(context, pl.DataFrame()) is None
