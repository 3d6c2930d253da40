"""What holds for every application: its definitions load alone and beside others, and the platform does not name it."""

import ast
import re
from pathlib import Path

import dagster as dg
import pytest

from resources.keys import APPLICATION_TAG, CADENCE_TAG, INPUTS_TAG, Cadence, Role, name_of
from resources.materializations.inputs import RULES
from resources.placement import HARDWARE_TAG, NEEDS_TAG, REGION_TAG
from resources.residency import TABLE
from sinet_pipelines.applications import NAMES, load_applications
from sinet_pipelines.errors import ContractError
from sinet_pipelines.placement.needs import Needs
from tests.deployed import deployment_at

CHECKOUT = Path(__file__).parents[2]
APPLICATIONS = load_applications()


def _code(path):
    """The code of a file line by line, as Python prints it without comments and docstrings: these may show examples."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return ast.unparse(tree).splitlines()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    from assets.definitions import build_defs

    deployment = deployment_at(tmp_path_factory.mktemp("empty"))
    alone = {one.name: build_defs(deployment, [one]).resolve_asset_graph() for one in APPLICATIONS}
    return {**alone, "all": build_defs(deployment).resolve_asset_graph()}


@pytest.mark.parametrize("application", APPLICATIONS, ids=NAMES)
def test_an_application_alone_has_only_its_own_assets(graphs, application):
    keys = graphs[application.name].get_all_asset_keys()
    assert keys
    assert {name_of(key).application for key in keys} == {application.name}
    assert all(dg.AssetKey(application.key(name_of(k).name, region=name_of(k).region)) == k for k in keys)


def test_all_applications_together_are_those_of_each(graphs):
    of_each = [graphs[name].get_all_asset_keys() for name in NAMES]
    assert graphs["all"].get_all_asset_keys() == set().union(*of_each)
    assert sum(map(len, of_each)) == len(graphs["all"].get_all_asset_keys())


@pytest.mark.parametrize("application", APPLICATIONS, ids=NAMES)
def test_every_asset_declares_what_the_platform_derives_from(graphs, application):
    from assets.definitions import stage_modules

    graph = graphs[application.name]
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.owners == [application.owner], key
        assert node.tags[APPLICATION_TAG] == application.name, key
        assert node.description, key
        assert {REGION_TAG, HARDWARE_TAG} <= set(node.tags), key
        assert node.tags[CADENCE_TAG] in set(Cadence), key
        assert node.group_name in stage_modules(application), key
        rule = node.tags.get(INPUTS_TAG)
        assert rule is None or rule in {*RULES, *application.rules}, f"{key.to_user_string()}: no rule {rule}"
        if node.is_partitioned:
            assert node.tags.get(INPUTS_TAG), f"{key.to_user_string()} has days and declares no rule for its inputs"
        if table := node.metadata.get(TABLE):
            assert application.table(str(getattr(table, "value", table))).data_class, key


@pytest.mark.parametrize("application", APPLICATIONS, ids=NAMES)
def test_every_step_declares_its_needs(application, tmp_path):
    from assets.definitions import build_defs

    for asset in build_defs(deployment_at(tmp_path), [application]).assets or ():
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable:
            assert isinstance(Needs.from_json(asset.op.tags[NEEDS_TAG]), Needs), asset.key


@pytest.mark.parametrize("application", APPLICATIONS, ids=NAMES)
def test_an_application_that_serves_has_one_endpoint_and_a_landing_zone_in_each_region(graphs, application):
    graph = graphs[application.name]
    roles = [graph.get(key).tags.get("sinet/role") for key in graph.get_all_asset_keys()]
    assert roles.count(Role.ENDPOINT) == 1
    assert roles.count(Role.LANDING_ZONE) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_outside_its_own_folders_names_an_application(name):
    own = (f"applications/{name}/", f"assets/{name}/", "applications/__init__.py")
    found = []
    for package in ("sinet_pipelines", "resources", "schedules", "assets"):
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            place = path.relative_to(CHECKOUT).as_posix()
            if any(part in place for part in own):
                continue
            for number, line in enumerate(_code(path), start=1):
                if re.search(rf"\b{name}\b", line, re.IGNORECASE):
                    found.append(f"{place}:{number}: {line.strip()}")
    assert found == []


def test_two_applications_of_one_name_are_refused(tmp_path):
    from assets.definitions import build_defs

    with pytest.raises(ContractError, match="two applications are named"):
        build_defs(deployment_at(tmp_path), [APPLICATIONS[0], APPLICATIONS[0]])
