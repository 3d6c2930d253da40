"""The recipes of CONTRIBUTING.md do what they say: each applies, and what it adds takes part."""

import json
import re
import subprocess
import sys

import polars as pl
import pytest

from tests.recipes import CHECKOUT, copy_checkout, environment_of, recipes
from tests.walk.homes import folder_of

RECIPES = recipes()
SENSOR, FEATURE, FAMILY, REGION = "oil_degr", "oil_degr_z_range_30", "log_ridge", "NORTH"
HARD_CODED = (  # tests of what depends on the number of sensors, features, families and regions
    *(
        "applications/turbofan",
        "features",
        "models",
        "quantization",
        "training",
        "research",
        "deployment",
        "validation",
    ),
    *("ingestion", "registry", "evaluation", "monitoring"),
)
LOOK = """
import json
import assets.definitions as loaded
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from tests.walk.homes import folder_of
graph = loaded.defs().resolve_asset_graph()
keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
evaluation = next(key for key in graph.get_all_asset_keys() if key.path == ["turbofan", "evaluation"])
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
    result = run(checkout, sys.executable, "-W", "ignore", "-c", LOOK, SINET_HOME=str(checkout / "no-home"))
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout)
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
    assert list(RECIPES) == [
        "Add a source",
        "Add a sensor",
        "Add a feature",
        "Add a model family",
        "Add an application",
        "Add a region",
    ]


def test_the_readme_leads_to_the_recipes():
    assert "(CONTRIBUTING.md)" in (CHECKOUT / "README.md").read_text()


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_applies_by_itself_and_keeps_the_style(heading, tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    for block in RECIPES[heading]:
        block.apply(checkout)
    files = sorted({block.file for block in RECIPES[heading] if block.file.endswith(".py")})
    for command in (["check"], ["format", "--check"]) if files else ():
        result = run(checkout, sys.executable, "-m", "ruff", *command, "--no-cache", *files)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_source_lands_the_rows_of_a_file_of_its_format(changed):
    folder, home = changed / "plant", changed / ".sinet" / "plant"
    folder.mkdir()
    rows = [{"sample": i, "load_kw": 1.5, "temperature_c": 46.0, "recorded_at": "2026-03-01T10:00:00Z"} for i in (1, 2)]
    (folder / "kiln.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("-c", "from sinet_pipelines.cli.main import main; main()", "land", str(folder), "--home", str(home))
    result = run(changed, sys.executable, "-W", "ignore", *command, "--json")
    assert result.returncode == 0, result.stderr[-3000:]
    (report,) = json.loads(result.stdout)
    assert (report["application"], report["rows"], report["regions"]) == ("kiln", 2, ["EAST"])
    (drop,) = (home / "EAST" / "landing" / "kiln" / "2026-03-01").glob("*.parquet")
    assert pl.read_parquet(drop)["sample"].to_list() == [1, 2]


def test_a_sensor_is_a_column_of_a_drop_with_features_of_its_own(found):
    assert SENSOR in found["drop"]
    assert {f"{SENSOR}_z_last", f"{SENSOR}_z_mean_30", f"{SENSOR}_z_slope_30"} <= set(found["features"])


def test_a_feature_is_there_for_every_sensor(found):
    sensors = [name.removesuffix("_z_last") for name in found["features"] if name.endswith("_z_last")]
    for name in ("range_30", "spread_10", "spread_30"):
        assert [f"{sensor}_z_{name}" for sensor in sensors] == [one for one in found["features"] if one.endswith(name)]
    assert FEATURE in found["features"]


def test_a_family_is_trained_and_judged_with_the_others(found):
    assert f"turbofan/{FAMILY}" in found["keys"]
    assert {FAMILY, "gradient_boosting", "temporal_convolution", "average"} <= set(found["judged"])


def test_a_region_has_every_asset_that_the_others_have(found):
    def of(region):
        return {key.partition("/")[2] for key in found["keys"] if key.startswith(f"{region}/")}

    assert of(REGION) >= of("EAST") & of("WEST") & of("NULL_ISLAND")
    assert of(REGION)


def _naming_turbofan(checkout):
    """The test files of the folders that name the application: no other one can count its sensors or features."""
    files = [file for name in HARD_CODED for file in (checkout / "tests/sinet_pipelines" / name).rglob("test_*.py")]
    return sorted(str(file.relative_to(checkout)) for file in files if "turbofan" in file.read_text())


@pytest.mark.slow
def test_the_tests_hold_with_all_of_it(changed):
    """Numbers of sensors and features stand in the contract alone, so that a test that has its own fails here."""
    (changed / "inventory.yaml").rename(changed / "inventory.yaml.aside")
    try:
        contracts = [f"tests/contracts/test_{name}.py" for name in ("applications", "model_families")]
        command = [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider"]
        command += ["--basetemp", str(changed.parent / "inner")]  # else it also removes what killed sessions left
        result = run(changed, *command, *contracts, *_naming_turbofan(changed))
    finally:
        (changed / "inventory.yaml.aside").rename(changed / "inventory.yaml")
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)$", result.stdout, re.MULTILINE)
    assert (failed, result.returncode) == ([], 0), result.stdout[-3000:] + result.stderr[-1000:]


@pytest.fixture(scope="module")
def walked(changed):
    """A small simulated fleet as a folder of data, walked by the changed copy; home, the command's end, its status."""
    home, data = changed / ".sinet" / "recipes", changed / "data" / "small"
    script = f"""
from pathlib import Path
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
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
    validated = pl.read_delta(str(folder_of(home, REGION, "validated_telemetry")))
    assert validated[SENSOR].is_between(400, 900).all()
    assert validated.height
    features = pl.read_delta(str(folder_of(home, REGION, "window_features")))
    assert features[FEATURE].max() > features[FEATURE].min() >= 0


@pytest.mark.slow
def test_the_family_competes_and_the_region_is_in_the_status(walked):
    home, _, status = walked
    results = pl.read_delta(str(folder_of(home, "EAST", "evaluation_results")))
    assert FAMILY in results["predictor"].unique()
    assert any(FAMILY in card.read_text() for card in (home / "cards").rglob("*.html"))
    states = {one["asset"]: one["state"] for one in status["assets"] if one["region"] == REGION}
    assert f"{REGION}/turbofan/window_features" in states
    assert set(states.values()) == {"done"}
