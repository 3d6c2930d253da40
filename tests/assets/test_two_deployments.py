"""One process holds two deployments: definitions of other homes, first days and inventories share nothing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from resources.regions import region_resources
from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.errors import UnknownRegionError
from sinet_pipelines.storage.layout import record_file
from tests.conftest import CHECKOUT
from tests.deployed import SHIPPED, deployment_at

NORTH = replace(SHIPPED.regions[0], name="NORTH")  # with the agreements of EAST
FIRST = {"one": {"turbofan": "2026-03-01", "milling": "2026-04-02"}, "two": {"turbofan": "2026-05-03"}}
PLACE = dg.AssetKey("where")


def where(deployment):
    """An asset, bound in the last region of a deployment, that reports what its step finds."""
    from assets.framework.regional import deployment_of, here, regions_of
    from resources.placement import bind
    from sinet_pipelines.schemas.contract import DataClass

    region = deployment.regions[-1]

    @dg.asset(key=PLACE, **bind(region, data_class=DataClass.FEATURE, reads=deployment.regions))
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        found = {
            "home": here(context, region).home,
            "regions": ", ".join(one.name for one in regions_of(context)),
            "first_day": str(deployment_of(context).first_day(TURBOFAN.name)),
        }
        return dg.MaterializeResult(metadata=found)

    return asset


@pytest.fixture(scope="module")
def deployments(tmp_path_factory):
    """Two homes with other first days; the second has a region more."""
    folder = tmp_path_factory.mktemp("two")
    for home, days in FIRST.items():
        for application, first_day in days.items():
            path = record_file(folder / home, application)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"first_day": first_day}))
    more = replace(SHIPPED, regions=(*SHIPPED.regions, NORTH))
    return deployment_at(folder / "one"), deployment_at(folder / "two", inventory=more)


@pytest.fixture(scope="module")
def both(deployments):
    from assets.definitions import build_defs

    return [build_defs(one) for one in deployments]


def first_day_of(definitions, *path):
    return definitions.resolve_asset_graph().get(dg.AssetKey(path)).partitions_def.start.date()


def test_partitions_begin_with_the_first_day_of_their_own_home_and_application(both):
    one, two = both
    assert first_day_of(one, "EAST", "turbofan", "raw_telemetry") == date(2026, 3, 1)
    assert first_day_of(one, "EAST", "milling", "raw_records") == date(2026, 4, 2)
    assert first_day_of(two, "EAST", "turbofan", "raw_telemetry") == date(2026, 5, 3)


def test_a_region_of_one_inventory_is_in_no_asset_of_the_other(both):
    one, two = ({key.path[0] for key in each.resolve_asset_graph().get_all_asset_keys()} for each in both)
    assert two - one == {"NORTH"}
    resources = [{key for key in each.resources if key == "north"} for each in both]
    assert resources == [set(), {"north"}]


def test_applications_are_those_that_landed_in_the_home(both):
    one, two = ({key.path[-2] for key in each.resolve_asset_graph().get_all_asset_keys()} for each in both)
    assert (one, two) == ({TURBOFAN.name, MILLING.name}, {TURBOFAN.name})


def test_tables_are_in_their_own_home(both, deployments):
    key = dg.AssetKey(["EAST", "turbofan", "raw_telemetry"])
    uris = [each.resolve_asset_graph().get(key).metadata["dagster/uri"] for each in both]
    assert all(uri.startswith(f"{one.home}/") for uri, one in zip(uris, deployments, strict=True))


def test_a_step_finds_the_home_the_regions_and_the_first_day_of_its_own_deployment(both, deployments):
    found = []
    for each, deployment in zip(both, deployments, strict=True):
        done = dg.materialize([where(deployment)], resources=each.resources)
        (made,) = done.asset_materializations_for_node(PLACE.to_python_identifier())
        found.append({name: entry.value for name, entry in made.metadata.items()})
    shipped = "EAST, WEST, NULL_ISLAND"
    assert found == [
        {"home": str(deployments[0].home), "regions": shipped, "first_day": "2026-03-01"},
        {"home": str(deployments[1].home), "regions": f"{shipped}, NORTH", "first_day": "2026-05-03"},
    ]


def test_code_versions_are_equal(both):
    one, two = (each.resolve_asset_graph() for each in both)
    shared = one.executable_asset_keys & two.executable_asset_keys
    assert len(shared) > 40
    assert {key: one.get(key).code_version for key in shared} == {key: two.get(key).code_version for key in shared}


@pytest.mark.slow
def test_definitions_of_this_process_follow_the_home_that_the_environment_names(deployments, monkeypatch):
    from assets.definitions import defs

    monkeypatch.setenv("SINET_HOME", str(deployments[0].home))
    first = defs()
    assert defs() is first
    monkeypatch.setenv("SINET_HOME", str(deployments[1].home))
    assert first_day_of(defs(), "EAST", "turbofan", "raw_telemetry") == date(2026, 5, 3)


def test_a_landing_zone_knows_the_regions_of_its_own_deployment(deployments):
    one, two = (region_resources(each)["east"].of("turbofan").landing for each in deployments)
    assert two.days("NORTH") == []
    with pytest.raises(UnknownRegionError, match="no region 'NORTH'"):
        one.days("NORTH")


LOOK = """
import importlib, os, pkgutil, sys

# imported beforehand: what they read is not ours
import dagster, polars, pyarrow, deltalake, yaml, zoneinfo
read, opened, is_watched = set(), set(), False
class Watched(type(os.environ)):
    def __getitem__(self, name):
        frame, files = sys._getframe(1), []
        while frame is not None and len(files) < 3:  # `os.environ.get` is a frame of the standard library
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        if is_watched and any(file.startswith(project) and "/.venv/" not in file for file in files):
            read.add(name)
        return super().__getitem__(name)
project = os.getcwd()
os.environ.__class__ = Watched
def look(event, arguments):
    if is_watched and event == "open" and isinstance(arguments[0], str):
        path = os.path.abspath(arguments[0])
        is_code = any(part in path for part in ("/.venv/", "/__pycache__/", ".egg-info/")) or path.endswith(".py")
        if path.startswith((project, home)) and not is_code:
            opened.add(path)
home = os.environ["SINET_HOME"]
sys.addaudithook(look)
is_watched = True
for package in ("sinet_pipelines", "assets", "resources", "schedules"):
    for one in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(one.name)
is_watched = False
print(sorted(read), sorted(opened))
"""


@pytest.mark.slow
def test_no_module_reads_the_environment_or_a_file_when_it_is_imported(tmp_path):
    (tmp_path / "home").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SINET_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK],
        cwd=CHECKOUT,
        env={**environment, "PYTHONPATH": str(Path(CHECKOUT))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[-2] == "[] []"
