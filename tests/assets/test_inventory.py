"""A fourth region is one entry in `inventory.yaml`: assets, resources and policies follow without a line of code."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.assets.test_definitions import environment
from tests.conftest import CHECKOUT, link_project
from tests.inventory import EAST

AGREED = tuple((one.table, one.to, one.purpose) for one in EAST.agreements)
NORTH = """
regions:
  - name: NORTH
    role: a plant of its own
    hardware: [nvidia-t4, cpu]
    cluster: {kubeconfig_context: north}
"""
SCRIPT = """
import json
from assets.definitions import defs as load

defs = load()
graph = defs.resolve_asset_graph()
keys = sorted(key.to_user_string() for key in graph.get_all_asset_keys())
pools = sorted({graph.get(key).assets_def.op.pool for key in graph.executable_asset_keys})
print(json.dumps({"keys": keys, "resources": sorted(defs.resources), "pools": pools}))
"""


def agreements(*, until):
    rows = (
        f"      - {{table: {table}, to: {to}, purpose: {purpose}, until: {until}}}\n" for table, to, purpose in AGREED
    )
    return "".join(["    agreements:\n", *rows])


@pytest.fixture
def registry(tmp_path):
    """Writes a registry file; the environment of a process that has it."""

    def write(text):
        path = tmp_path / "inventory.yaml"
        path.write_text(text)
        return environment(tmp_path / "home", SINET_INVENTORY=str(path))

    return write


def fresh(script, env):
    command = [sys.executable, "-W", "ignore", "-c", script]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def validated(env, *, checkout=CHECKOUT):
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "definitions", "validate"]
    return subprocess.run(
        [*command, "-w", str(checkout / "workspace.yaml")], env=env, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_everything_follows_from_one_entry(registry):
    result = fresh(SCRIPT, registry(NORTH + agreements(until="2028-12-31")))
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    by_region = {region: [key for key in found["keys"] if key.startswith(f"{region}/")] for region in ("WEST", "NORTH")}
    assert [key.replace("NORTH", "WEST") for key in by_region["NORTH"]] == by_region["WEST"]
    assert len(by_region["NORTH"]) >= 14
    assert {"east", "west", "null_island", "north"} <= set(found["resources"])
    assert "north-cpu" in found["pools"]


@pytest.mark.slow
def test_a_region_that_agreed_on_nothing_lets_nothing_out_and_the_definitions_say_so(registry):
    result = fresh("from assets.definitions import defs; defs()", registry(NORTH))
    assert result.returncode != 0
    assert (
        "takes evaluation_sequences from NORTH to EAST, columns of class sequence: class sequence leaves NORTH only "
        "under an agreement for evaluation_sequences to EAST, and there is none"
    ) in result.stderr


@pytest.mark.slow
def test_an_agreement_that_has_run_out_fails_the_definitions(registry):
    found = validated(registry("regions:\n  - name: WEST\n" + agreements(until="2020-12-31")))
    assert found.returncode != 0
    assert (
        "turbofan/evaluation takes evaluation_sequences from WEST to EAST, columns of class sequence: "
        "class sequence leaves WEST only under an agreement for evaluation_sequences to EAST, and that ran out on "
        "2020-12-31"
    ) in found.stderr + found.stdout


PLANTED = """

@once
def planted(deployment: Deployment) -> dg.AssetsDefinition:
    east, west = deployment.region("EAST"), deployment.region("WEST")

    @dg.asset(
        key=global_key("planted"),
        deps=[regional_key(west, "validated_telemetry")],
        code_version="1",
        **bind(east, data_class=DataClass.FEATURE, reads=[west]),
    )
    def asset(context: dg.AssetExecutionContext) -> None:
        here(context, west).tables.read(VALIDATED_TELEMETRY)

    return asset
"""


@pytest.mark.slow
def test_a_planted_edge_fails_the_definitions_with_asset_table_class_and_rule(tmp_path):
    checkout = tmp_path / "checkout"
    link_project(checkout)
    (checkout / "assets").unlink()
    shutil.copytree(CHECKOUT / "assets", checkout / "assets", ignore=shutil.ignore_patterns("__pycache__"))
    with (checkout / "assets" / "turbofan" / "features.py").open("a") as features:
        features.write(PLANTED)
    found = validated(environment(tmp_path, PYTHONPATH=str(checkout)), checkout=checkout)
    assert found.returncode != 0
    assert (
        "turbofan/planted takes validated_telemetry from WEST to EAST, columns of class raw: class raw "
        "never leaves its region"
    ) in found.stderr + found.stdout


def test_the_command_line_says_what_is_wrong_with_the_file_in_one_sentence(registry):
    script = "import sys; sys.argv[1:] = ['doctor']; from sinet_pipelines.cli.main import main; main()"
    result = fresh(script, registry("regions:\n  - name: NORTH\n"))
    assert result.returncode == 2
    assert result.stderr.startswith("sinet: ")
    assert "inventory.yaml, line 2: region without role, hardware, cluster; add them" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_process_that_enters_a_project_has_the_regions_of_its_file(tmp_path, project):
    (project / "inventory.yaml").write_text(NORTH)
    script = (
        "from pathlib import Path; from sinet_pipelines.cli.orchestrator import enter;"
        "from sinet_pipelines.inventory.regions import this_inventory; before = this_inventory().names;"
        f"enter(Path({str(project)!r}), Path({str(tmp_path)!r})); print(before, this_inventory().names)"
    )
    result = fresh(script, environment(tmp_path))
    assert result.returncode == 0, result.stderr
    shipped = "'EAST', 'WEST', 'NULL_ISLAND'"
    assert result.stdout.splitlines()[-1] == f"({shipped}) ({shipped}, 'NORTH')"
