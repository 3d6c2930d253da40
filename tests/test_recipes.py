"""The recipes of CONTRIBUTING.md do what they say: each applies, and what it adds takes part."""

import json
import re
import subprocess
import sys

import polars as pl
import pytest

from tests.recipes import CHECKOUT, copy_checkout, environment_of, recipes

RECIPES = recipes()
SENSOR, FEATURE, FAMILY, REGION = "oil_degr", "oil_degr_z_range_30", "log_ridge", "NORTH"
HARD_CODED = (  # tests of what depends on the number of sensors, features, families and regions
    *("features", "models", "quantization", "schemas", "training", "research", "deployment", "validation"),
    *("ingestion", "registry", "evaluation", "monitoring"),
)
LOOK = """
import json
import assets.definitions as loaded
from sinet_pipelines.schemas.features import FEATURE_NAMES
from sinet_pipelines.schemas.telemetry import DROP
graph = loaded.defs.resolve_asset_graph()
keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
evaluation = next(key for key in graph.get_all_asset_keys() if key.path[-1] == "evaluation")
print(json.dumps({
    "file": loaded.__file__,
    "drop": [column.name for column in DROP.columns],
    "features": FEATURE_NAMES,
    "keys": sorted(keys),
    "judged": sorted(key.path[-1] for key in graph.get(evaluation).parent_keys),
}))
"""


def run(checkout, *command, **more):
    return subprocess.run(
        command, cwd=checkout, env=environment_of(checkout, **more), capture_output=True, text=True, timeout=3000
    )


def loaded(checkout):
    said = run(checkout, sys.executable, "-W", "ignore", "-c", LOOK, SINET_HOME=str(checkout / "no-home"))
    assert said.returncode == 0, said.stderr[-3000:]
    found = json.loads(said.stdout)
    assert found["file"].startswith(str(checkout))
    return found


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the checkout with all recipes applied, one after another."""
    checkout = copy_checkout(tmp_path_factory.mktemp("recipes") / "checkout")
    for blocks in RECIPES.values():
        for block in blocks:
            block.apply(checkout)
    return checkout


@pytest.fixture(scope="module")
def found(changed):
    return loaded(changed)


def test_there_is_a_recipe_for_each_kind_of_change():
    assert list(RECIPES) == ["Add a sensor", "Add a feature", "Add a model family", "Add a region"]


def test_the_readme_leads_to_the_recipes():
    assert "(CONTRIBUTING.md)" in (CHECKOUT / "README.md").read_text()


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_applies_by_itself_and_keeps_the_style(heading, tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    for block in RECIPES[heading]:
        block.apply(checkout)
    files = sorted({block.file for block in RECIPES[heading] if block.file.endswith(".py")})
    for command in (["check"], ["format", "--check"]) if files else ():
        said = run(checkout, sys.executable, "-m", "ruff", *command, "--no-cache", *files)
        assert said.returncode == 0, said.stdout + said.stderr


def test_a_sensor_is_a_column_of_a_drop_with_features_of_its_own(found):
    assert SENSOR in found["drop"]
    assert {f"{SENSOR}_z_last", f"{SENSOR}_z_mean_30", f"{SENSOR}_z_slope_30"} <= set(found["features"])


def test_a_feature_is_there_for_every_sensor(found):
    sensors = [name.removesuffix("_z_last") for name in found["features"] if name.endswith("_z_last")]
    for name in ("range_30", "spread_10", "spread_30"):
        assert [f"{sensor}_z_{name}" for sensor in sensors] == [one for one in found["features"] if one.endswith(name)]
    assert FEATURE in found["features"]


def test_a_family_is_trained_and_judged_with_the_others(found):
    assert f"predictive_maintenance/{FAMILY}" in found["keys"]
    assert {FAMILY, "gradient_boosting", "temporal_convolution", "average"} <= set(found["judged"])


def test_a_region_has_every_asset_that_the_others_have(found):
    def of(region):
        return {key.partition("/")[2] for key in found["keys"] if key.startswith(f"{region}/")}

    assert of(REGION) >= of("EAST") & of("WEST") & of("NULL_ISLAND")
    assert of(REGION)


@pytest.mark.slow
def test_the_tests_hold_with_all_of_it(changed):
    """Numbers of sensors and features stand in the contract alone, so that a test that has its own fails here."""
    (changed / "registry.yaml").rename(changed / "registry.yaml.aside")
    try:
        folders = [f"tests/sinet_pipelines/{name}" for name in HARD_CODED]
        command = [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", "tests/contracts"]
        said = run(changed, *command, *folders)
    finally:
        (changed / "registry.yaml.aside").rename(changed / "registry.yaml")
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)$", said.stdout, re.MULTILINE)
    assert (failed, said.returncode) == ([], 0), said.stdout[-3000:]


@pytest.fixture(scope="module")
def walked(changed):
    """A small simulated fleet as a folder of data, walked by the changed copy; home, the command's end, its status."""
    home, data = changed / ".sinet" / "recipes", changed / "data" / "small"
    script = f"""
from pathlib import Path
from sinet_pipelines.ingestion.simulator import simulate_fleet
from tests.conftest import write_subset
folder = Path({str(data)!r})
folder.parent.mkdir()
write_subset(simulate_fleet(name="FD007", history_engines=30, live_engines=16, regimes=2, seed=5), folder)
"""
    written = run(changed, sys.executable, "-W", "ignore", "-c", script)
    assert written.returncode == 0, written.stderr[-3000:]
    command = [sys.executable, "-W", "ignore", "-c", "from sinet_pipelines.cli.main import main; main()"]
    ended = run(changed, *command, "run", "--data", str(data), "--home", str(home))
    assert ended.returncode == 0, ended.stderr[-3000:]
    status = run(changed, *command, "status", "--home", str(home), "--json")
    yield home, ended, json.loads(status.stdout)
    run(changed, *command, "stop", "--home", str(home))


@pytest.mark.slow
def test_a_walk_with_all_of_it_ends_with_an_endpoint(walked):
    _, ended, status = walked
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert [one["ready"] for one in status["endpoints"]] == [True]


@pytest.mark.slow
def test_tables_hold_the_sensor_and_the_features(walked):
    home, _, _ = walked
    validated = pl.read_delta(str(home / "tables" / REGION / "validated_telemetry"))
    assert validated[SENSOR].is_between(400, 900).all()
    assert validated.height
    features = pl.read_delta(str(home / "tables" / REGION / "window_features"))
    assert features[FEATURE].max() > features[FEATURE].min() >= 0


@pytest.mark.slow
def test_the_family_competes_and_the_region_is_in_the_status(walked):
    home, _, status = walked
    results = pl.read_delta(str(home / "tables" / "EAST" / "evaluation_results"))
    assert FAMILY in results["predictor"].unique()
    assert any(FAMILY in card.read_text() for card in (home / "cards").rglob("*.html"))
    states = {one["asset"]: one["state"] for one in status["assets"] if one["region"] == REGION}
    assert f"{REGION}/predictive_maintenance/window_features" in states
    assert set(states.values()) == {"done"}
