"""The steps of a deployment, as the planner receives them: where they may run, how long, how large, what they read."""

import time
from dataclasses import replace

import dagster as dg
import polars as pl
import pytest
from deltalake import write_deltalake

from resources.keys import ROLE_TAG, Role
from resources.placement import bind
from resources.planning import DEFAULT_SIZE, PAST_RUNS, RECORDED_SIZE, Known, known_of, reads_of, works_of
from resources.residency import CLASS_ENTRY, TABLE
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage.layout import table_folder
from tests.deployed import deployment_at
from tests.inventory import EAST, REGIONS, SHIPPED, WEST


def step(path, region, deps=(), *, data_class=DataClass.FEATURE, role=None, **binding):
    bound = bind(region, data_class=data_class, others=REGIONS, role=role, **binding)

    @dg.asset(key=path.split("/"), deps=[dg.AssetKey(one.split("/")) for one in deps], metadata={TABLE: path}, **bound)
    def asset():
        return None

    return asset


@pytest.fixture(scope="module")
def graph():
    move = Needs(count=1, may_move_to=(("EAST", "nvidia-h100"),))
    assets = [
        step("EAST/mill/rows", EAST, data_class=DataClass.RAW),
        step("mill/set", EAST, ["EAST/mill/rows"]),
        step("mill/network", EAST, ["mill/set"], hardware="nvidia-a100", needs=move, data_class=DataClass.MODEL),
        step("mill/trees", EAST, ["mill/set"], hardware="gpu", needs=Needs(count=1)),
        step("mill/endpoint", WEST, ["mill/network"], role=Role.ENDPOINT, data_class=DataClass.MODEL),
        step("EAST/mill/answers", EAST, ["mill/endpoint", "EAST/mill/rows"]),
    ]
    resources = dict.fromkeys(("deployment", "east", "west", "null_island"))
    return dg.Definitions(assets, resources=resources).resolve_asset_graph()


@pytest.fixture
def deployment(tmp_path):
    return deployment_at(tmp_path)


def works(graph, deployment, **options):
    return {one.asset: one for one in works_of(graph, deployment, **options)}


def test_a_key_with_a_region_stays_there_and_a_step_moves_where_its_needs_allow(graph, deployment):
    found = works(graph, deployment)
    assert (found["EAST/mill/rows"].open_to, found["EAST/mill/rows"].pinned_by) == ((), "its key says EAST")
    assert (found["mill/set"].open_to, found["mill/set"].pinned_by) == ((), "its definition binds it to EAST")
    assert found["mill/network"].open_to == (("EAST", "nvidia-h100"),)


def test_a_step_bound_to_a_class_of_hardware_may_use_every_kind_of_it_in_its_region(graph, deployment):
    found = works(graph, deployment)["mill/trees"]
    assert (found.hardware, found.open_to) == ("nvidia-h100", (("EAST", "nvidia-a100"), ("EAST", "amd-mi250")))


def test_a_region_that_stands_in_for_a_lost_one_takes_assets_without_a_region_in_their_key(graph, deployment):
    found = works(graph, deployment, without=["EAST"])
    assert found["mill/set"].open_to == (("WEST", "cpu"),)
    assert ("WEST", "nvidia-a100") in found["mill/network"].open_to
    assert ("WEST", "nvidia-t4") in found["mill/trees"].open_to  # WEST has no h100: any gpu of it will do
    assert found["EAST/mill/rows"].open_to == ()
    lost = works(graph, deployment, without=["WEST"])["mill/endpoint"]
    assert (lost.open_to, "no region stands in for WEST" in lost.pinned_by) == ((), True)


def test_a_region_that_stands_in_without_the_hardware_is_named(graph, tmp_path):
    regions = tuple(replace(one, hardware=("cpu",)) if one.name == "WEST" else one for one in REGIONS)
    deployment = deployment_at(tmp_path, inventory=replace(SHIPPED, regions=regions))
    found = works(graph, deployment, without=["EAST"])["mill/trees"]
    assert {region for region, _ in found.open_to} == {"EAST"}
    assert found.pinned_by.endswith("and WEST, which stands in for EAST, has no hardware of the class of nvidia-h100")


def test_recorded_durations_and_sizes_come_before_declared_ones(graph, deployment):
    found = works(graph, deployment, known=Known({"mill/set": 0.25}, {"mill/set": 1234}))
    known, other = found["mill/set"], found["mill/network"]
    assert (known.hours, known.hours_from, known.bytes, known.bytes_from) == (0.25, PAST_RUNS, 1234, RECORDED_SIZE)
    assert (other.hours, other.bytes, other.bytes_from) == (1.0, 32 * 1024**2, DEFAULT_SIZE)


@pytest.mark.slow
def test_durations_come_from_past_runs_and_sizes_from_the_newest_day_of_a_table_that_may_leave(tmp_path):
    features, rows = (TableName(name, DataClass(kind)) for name, kind in (("features", "feature"), ("rows", "raw")))
    bound = {name: bind(EAST, data_class=name) for name in (DataClass.FEATURE, DataClass.RAW)}

    def entries(table):
        return {TABLE: table.name, CLASS_ENTRY: str(table.data_class)}

    @dg.asset(key=["EAST", "turbofan", "rows"], metadata=entries(rows), **bound[DataClass.RAW])
    def raw():
        time.sleep(0.05)

    @dg.asset(key=["EAST", "turbofan", "features"], deps=[raw], metadata=entries(features), **bound[DataClass.FEATURE])
    def made():
        time.sleep(0.1)

    deployment = deployment_at(tmp_path / "home")
    for table in (features, rows):
        for day, count in (("2026-03-01", 5), ("2026-03-02", 5_000)):
            frame = pl.DataFrame({"event_date": [day] * count, "value": range(count)})
            folder = table_folder(deployment.home, "EAST", "turbofan", table)
            write_deltalake(str(folder), frame.to_arrow(), partition_by=["event_date"], mode="append")
    resources = dict.fromkeys(("deployment", "east"))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert dg.materialize([raw, made], instance=instance, resources=resources).success
        loaded = dg.Definitions([raw, made], resources=resources).resolve_asset_graph()
        known = known_of(instance, loaded, deployment)
    assert known.hours["EAST/turbofan/features"] * 3600 >= 0.1
    assert known.hours["EAST/turbofan/rows"] * 3600 >= 0.05
    assert list(known.bytes) == ["EAST/turbofan/features"]  # the raw table is not opened
    newest = list(table_folder(deployment.home, "EAST", "turbofan", features).glob("event_date=2026-03-02/*.parquet"))
    assert known.bytes["EAST/turbofan/features"] == sum(path.stat().st_size for path in newest)


def test_a_reader_of_an_endpoint_sends_it_its_other_inputs(graph, deployment):
    found = reads_of(graph, list(works(graph, deployment).values()))
    (sent,) = [one for one in found if not one.is_order]
    assert (sent.source, sent.target, sent.purpose) == ("EAST/mill/rows", "mill/endpoint", "inference")
    assert sent.reader == "EAST/mill/answers"
    assert {(one.source, one.target) for one in found if one.target == "mill/set"} == {("EAST/mill/rows", "mill/set")}


def test_the_role_of_an_endpoint_is_declared_at_the_asset(graph):
    assert graph.get(dg.AssetKey(["mill", "endpoint"])).tags[ROLE_TAG] == Role.ENDPOINT
