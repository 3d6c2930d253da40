"""Where steps execute is chosen by the environment alone; kubernetes is imported only where they go to clusters."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

SCRIPT = """
import json, sys
import assets.definitions as page
print(json.dumps([page.defs.executor.name, "kubernetes" in sys.modules]))
"""


@pytest.mark.parametrize(
    ("chosen", "name", "has_kubernetes"),
    [(None, "in_process", False), ("multiprocess", "multiprocess", False), ("regions", "region_router", True)],
)
def test_the_executor_is_chosen_by_the_environment(tmp_path, chosen, name, has_kubernetes):
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SINET_", "DAGSTER_"))}
    more = {"SINET_EXECUTOR": chosen} if chosen else {}
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=tmp_path,
        env={**inherited, "SINET_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT), **more},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(said.stdout) == [name, has_kubernetes]


@pytest.mark.parametrize(("chosen", "is_retried"), [("in_process", False), ("regions", True)])
def test_what_may_be_taken_away_is_tried_again_in_clusters_alone(tmp_path, monkeypatch, chosen, is_retried):
    from resources.placement import bind
    from resources.settings import settings
    from sinet_pipelines.placement.needs import Needs
    from sinet_pipelines.regions import EAST
    from sinet_pipelines.schemas.contract import DataClass

    monkeypatch.setenv("SINET_EXECUTOR", chosen)
    monkeypatch.setenv("SINET_HOME", str(tmp_path))
    settings.cache_clear()
    try:
        spot = bind(EAST, data_class=DataClass.MODEL, needs=Needs(is_preemptible=True))
        kept = bind(EAST, data_class=DataClass.MODEL)
    finally:
        settings.cache_clear()
    assert (spot["retry_policy"] is not None, kept["retry_policy"]) == (is_retried, None)
