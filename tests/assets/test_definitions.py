"""The definitions load anywhere, fast and light; every asset has a description, a place and an owner."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import dagster as dg
import pytest

from sinet_pipelines.applications import load_applications
from tests.conftest import CHECKOUT
from tests.inventory import REGIONS

HEAVY = (
    "great_expectations",
    "feast",
    "mlflow",
    "sklearn",
    "torch",
    "dask",
    "matplotlib",
    "dagster_k8s",
    "lightgbm",
    "onnxruntime",
)
STAGES = (
    "ingestion",
    "validation",
    "features",
    "training",
    "evaluation",
    "quantization",
    "research",
    "registry",
    "deployment",
    "monitoring",
)
LOAD_LIMIT = 6  # times the CPU time of importing Dagster alone; 1.5 was seen, this catches a heavy import


def specs(definitions):
    return list(definitions.resolve_all_asset_specs())


def executable(definitions):
    graph = definitions.resolve_asset_graph()
    return [graph.get(key) for key in graph.executable_asset_keys]


def environment(home, **more):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SINET_", "DAGSTER_"))}
    return {**inherited, "SINET_HOME": str(home), "PYTHONPATH": str(CHECKOUT), **more}


@pytest.mark.slow
def test_the_definitions_of_a_home_with_a_fleet_are_valid_from_any_folder(tmp_path, landed):
    where = tmp_path / "anywhere"
    where.mkdir()
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "definitions", "validate"]
    result = subprocess.run(
        [*command, "-w", str(CHECKOUT / "workspace.yaml")],
        cwd=where,
        env=environment(landed),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert "All code locations passed validation" in result.stdout
    assert list(where.iterdir()) == []


def test_a_fresh_process_loads_those_of_an_empty_home_fast_and_without_heavy_frameworks(tmp_path):
    script = (
        "import sys, time, json; began = time.process_time(); import dagster; between = time.process_time();"
        "import assets.definitions as ours; ours.defs(); times = [between - began, time.process_time() - between];"
        f"print(json.dumps([times, sorted(set({HEAVY!r}) & set(sys.modules))]))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    (dagster_s, ours_s), heavy = json.loads(result.stdout)
    print(f"definitions loaded in {ours_s:.2f} s of CPU time after Dagster, which took {dagster_s:.2f} s")
    assert heavy == []
    assert ours_s < LOAD_LIMIT * dagster_s


def test_groups_are_the_stages_in_the_order_of_the_walk(definitions):
    from assets.definitions import STAGES as modules

    assert tuple(modules) == STAGES
    assert {spec.group_name for spec in specs(definitions)} == set(STAGES)
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        for parent in graph.get(key).parent_keys:
            mine, its = (STAGES.index(graph.get(one).group_name) for one in (key, parent))
            assert its <= mine, f"{key.to_user_string()} comes before its upstream {parent.to_user_string()}"


def test_an_asset_is_in_the_group_of_the_module_that_writes_it(definitions, tmp_path):
    from assets.definitions import stage_modules
    from assets.framework.regional import Declaration
    from sinet_pipelines.applications import load_applications
    from tests.deployed import deployment_at

    graph, deployment = definitions.resolve_asset_graph(), deployment_at(tmp_path)
    for application in load_applications():
        modules = stage_modules(application)
        assert len(modules) > 5
        for stage, name in modules.items():
            declared = [one for one in vars(import_module(name)).values() if isinstance(one, Declaration)]
            found = [one for declaration in declared for one in declaration.make(deployment)]
            keys = {key for one in found if isinstance(one, dg.AssetsDefinition) for key in one.keys}
            assert keys
            assert {graph.get(key).group_name for key in keys} == {stage}


OWNER_OF = {one.name: one.owner for one in load_applications()}


def test_every_asset_that_runs_is_bound_to_a_region_and_a_hardware(definitions):
    from tests.inventory import get_hardware, get_region

    for node in executable(definitions):
        region = get_region(node.tags["sinet/region"])
        hardware = get_hardware(node.tags["sinet/hardware"]).id
        assert hardware in region.hardware
        assert {region.key, hardware} <= node.kinds
        assert node.owners == [OWNER_OF[node.tags["sinet/application"]]]
        if len(node.key.path) == 3:  # a region's asset runs in its region
            assert node.key.path[0] == region.name
        step = node.assets_def.op
        assert step.tags["sinet/region"] == region.name
        assert step.tags["sinet/hardware"] == hardware
        assert step.pool == f"{region.key}-{hardware}"
        assert region.key in node.assets_def.required_resource_keys


def test_every_asset_that_runs_says_which_code_made_it(definitions):
    made = [node for node in executable(definitions) if node.is_materializable]  # a landing zone is observed, not made
    assert [node.key for node in made if not node.code_version] == []


def test_every_asset_says_what_it_is(definitions):
    for spec in specs(definitions):
        assert spec.description, spec.key
        assert len(spec.kinds) >= 2, spec.key


def test_a_tables_page_has_its_columns_with_types_and_units(definitions):
    tables = [spec for spec in specs(definitions) if "dagster/table_name" in spec.metadata]
    assert len({spec.key.path[-1] for spec in tables}) >= 13
    for spec in tables:
        columns = spec.metadata["dagster/column_schema"].columns
        assert all(column.type and column.description for column in columns), spec.key
        assert spec.metadata["data_class"] == spec.tags.get("sinet/data_class", "raw"), spec.key
    raw = next(spec for spec in tables if spec.key.path[-1] == "raw_telemetry")
    units = {
        column.name: re.findall(r"\[(.*?)\]", column.description)
        for column in raw.metadata["dagster/column_schema"].columns
    }
    assert units["t30_degr"] == ["degR"]


def test_resources_are_the_regions_and_the_outside_things(definitions):
    outside = {"deployment", "feature_store", "tracking", "registry", "serving"}
    assert set(definitions.resources) == {region.key for region in REGIONS} | outside


def test_sensors_and_schedules_are_on_by_default(definitions):
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors}
    schedules = {schedule.name: schedule.default_status for schedule in definitions.schedules}
    names = ["landing", "drift", "alias", "endpoint_lives", "what_follows"]
    assert sensors == dict.fromkeys(names, dg.DefaultSensorStatus.RUNNING)
    at = ["nightly_repair", "weekly_training", "daily_freshness"]
    assert schedules == dict.fromkeys(at, dg.DefaultScheduleStatus.RUNNING)


def test_tags_are_plain_text_so_that_a_code_server_can_send_them(definitions):
    graph = definitions.resolve_asset_graph()
    tags = [(key, tag, value) for key in graph.get_all_asset_keys() for tag, value in graph.get(key).tags.items()]
    assert [one for one in tags if type(one[2]) is not str] == []


def test_dagster_is_the_version_that_is_pinned():
    pins = dict(line.split("==") for line in (CHECKOUT / "constraints.txt").read_text().split() if "==" in line)
    for package in ("dagster", "dagster-webserver", "dagster-graphql"):
        assert version(package) == pins[package]


def test_the_private_names_of_dagster_that_the_house_uses_are_there():
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.events import DagsterEvent, DagsterEventType
    from dagster._core.execution.api import execute_run
    from dagster._core.execution.context.system import StepExecutionContext
    from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle
    from dagster._core.remote_origin import RemoteRepositoryOrigin
    from dagster._core.storage import tags
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
    from dagster._core.storage.event_log.base import EventLogStorage
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    assert callable(DagsterEvent.step_output_event)
    assert callable(execute_run)
    assert callable(location_origins_from_yaml_paths)
    assert {"get_job_origin"} <= set(dir(RemoteRepositoryOrigin))
    assert {"for_file", "get_reconstructable_job"} <= set(dir(ReconstructableRepository))
    assert {"toposorted_asset_keys", "executable_asset_keys", "get_check_keys_for_assets"} <= set(dir(BaseAssetGraph))
    assert {
        "get_latest_storage_id_by_partition",
        "get_asset_check_execution_history",
        "get_latest_planned_materialization_info",
    } <= set(dir(EventLogStorage))
    assert (
        StepOutputData(step_output_handle=StepOutputHandle(step_key="a", output_name="result")).output_name == "result"
    )
    assert "step" in dir(StepExecutionContext)
    assert {kind.name for kind in DagsterEventType} >= {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"}
    assert {status.name for status in AssetCheckExecutionRecordStatus} >= {"PLANNED", "SUCCEEDED", "FAILED"}
    assert tags.ASSET_PARTITION_RANGE_START_TAG == "dagster/asset_partition_range_start"
    assert tags.ASSET_PARTITION_RANGE_END_TAG == "dagster/asset_partition_range_end"
    assert tags.SENSOR_NAME_TAG == "dagster/sensor_name"
