"""Where steps execute is chosen by the environment alone; only a run that routes its steps imports kubernetes."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

SCRIPT = """
import json, sys
import assets.definitions as page

defs = page.defs()
loaded = defs.executor.name, sorted({"kubernetes", "dagster_k8s", "grpc"}.intersection(sys.modules))
kept_in_order = "clusters_in_order" in {sensor.name for sensor in defs.sensors}
print(json.dumps([*loaded, kept_in_order]))
"""


@pytest.mark.parametrize(
    ("chosen", "name"),
    [(None, "in_process"), ("multiprocess", "multiprocess"), ("regions", "region_router")],
)
def test_the_executor_is_chosen_by_the_environment_and_its_kubernetes_client_is_not_loaded(tmp_path, chosen, name):
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SINET_", "DAGSTER_"))}
    more = {"SINET_EXECUTOR": chosen} if chosen else {}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=tmp_path,
        env={**inherited, "SINET_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT), **more},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(result.stdout) == [name, [], chosen == "regions"]
