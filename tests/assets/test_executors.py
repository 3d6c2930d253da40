"""Where steps execute is chosen by the environment alone; only a run that routes its steps imports kubernetes."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

SCRIPT = """
import json, os, sys
import assets.definitions as page

found = {}
for chosen in ("", "multiprocess", "regions"):
    os.environ.update({"SINET_EXECUTOR": chosen} if chosen else {})
    defs = page.defs()
    loaded = sorted({"kubernetes", "dagster_k8s", "grpc"}.intersection(sys.modules))
    found[chosen] = [defs.executor.name, loaded, "clusters_in_order" in {sensor.name for sensor in defs.sensors}]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_the_executor_is_chosen_by_the_environment_and_its_kubernetes_client_is_not_loaded(tmp_path):
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SINET_", "DAGSTER_"))}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=tmp_path,
        env={**inherited, "SINET_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(result.stdout) == {
        "": ["in_process", [], False],
        "multiprocess": ["multiprocess", [], False],
        "regions": ["region_router", [], True],
    }
