"""`dg`, Dagster's command line, at the root: it loads what workspace.yaml loads, on the home that was last run."""

import json
import subprocess
import tomllib

import dagster as dg
import pytest
import yaml

from tests.conftest import CHECKOUT, link_project
from tests.schedules.pages import DG, dagster_dev
from tests.walk.conftest import environment_of

LIMIT_S = 300
ASSETS = "{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { timestamp } } }"
SENSORS = """query($of: RepositorySelector!) { sensorsOrError(repositorySelector: $of) {
    ... on Sensors { results { name } } } }"""


def run_dg(*words, home):
    """`dg` at the root of the checkout, as `make lint` calls it."""
    environment = environment_of(CHECKOUT, SINET_HOME=str(home))
    return subprocess.run([*DG, *words], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=LIMIT_S)


def test_it_names_the_code_location_that_workspace_yaml_names():
    """Cursors of sensors and whether they are switched on are kept under this name."""
    (entry,) = yaml.safe_load((CHECKOUT / "workspace.yaml").read_text())["load_from"]
    project = tomllib.loads((CHECKOUT / "dg.toml").read_text())["project"]
    assert project["code_location_name"] == entry["python_file"]["location_name"]
    file = f"{project['code_location_target_module'].replace('.', '/')}.py"
    assert file == entry["python_file"]["relative_path"]


@pytest.mark.slow
def test_it_lists_every_asset_check_schedule_and_sensor(tmp_path, definitions):
    listed = run_dg("list", "defs", "--json", home=tmp_path)
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    graph = definitions.resolve_asset_graph()
    assert {tuple(one["asset_key_parts"]) for one in found["assets"]} == {
        tuple(key.path) for key in graph.get_all_asset_keys()
    }
    repository = definitions.get_repository_def()
    assert {one["name"] for one in found["sensors"]} == {one.name for one in repository.sensor_defs}
    assert {one["name"] for one in found["schedules"]} == {one.name for one in repository.schedule_defs}


@pytest.mark.slow
def test_its_checks_pass(tmp_path):
    for what in ("toml", "defs"):
        checked = run_dg("check", what, home=tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_dg_dev_shows_the_state_of_the_home_that_was_last_run(tmp_path, monkeypatch):
    folder = link_project(tmp_path / "checkout")
    monkeypatch.chdir(folder)  # dagster.yaml names the home by a path relative to the root
    state = folder / ".sinet" / "current" / "dagster"
    state.mkdir(parents=True)
    recorded = dg.AssetKey(["turbofan", "training_set"])
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(recorded))
    environment = environment_of(folder)
    del environment["SINET_PROJECT"]
    with dagster_dev(folder, environment=environment, command=DG) as pages:
        nodes = {tuple(one["assetKey"]["path"]): one for one in pages.ask(ASSETS)["assetNodes"]}
        assert {key for key, one in nodes.items() if one["assetMaterializations"]} == {tuple(recorded.path)}
        selector = {"repositoryName": "__repository__", "repositoryLocationName": "sinet"}
        sensors = pages.ask(SENSORS, of=selector)["sensorsOrError"]["results"]
        assert "landing" in {one["name"] for one in sensors}
