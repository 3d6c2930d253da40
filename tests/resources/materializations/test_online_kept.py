"""Where regions run apart, an online store that the check of its region found lost is planned and written again."""

from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

from resources.keys import CURRENT_CHECK
from resources.materializations.kept import STORE_ENTRY, Kept
from resources.placement import bind
from sinet_pipelines.inventory.online_stores import OnlineStore
from sinet_pipelines.schemas.contract import DataClass
from tests.deployed import deployment_at
from tests.inventory import SHIPPED, WEST

KEY = dg.AssetKey(["WEST", "turbofan", "online_features"])
LOST = "the online store of WEST has no mark of a write; `sinet run` writes it again"


@pytest.fixture
def graph():
    spec = dg.AssetCheckSpec(CURRENT_CHECK, asset=KEY)

    @dg.asset(key=KEY, metadata={STORE_ENTRY: "feast"}, check_specs=[spec], **bind(WEST, data_class=DataClass.FEATURE))
    def online(): ...

    return dg.Definitions([online], resources={"west": None, "deployment": None}).resolve_asset_graph()


def judge(instance, *, passed):
    job = dg.Definitions([], jobs=[dg.GraphDefinition("any").to_job()]).get_job_def("any")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    found = dg.AssetCheckEvaluation(
        asset_key=KEY, check_name=CURRENT_CHECK, passed=passed, metadata={}, description=None if passed else LOST
    )
    event = DagsterEvent(DagsterEventType.ASSET_CHECK_EVALUATION.value, "any", event_specific_data=found)
    instance.report_dagster_event(event, run.run_id)


def test_a_failed_check_of_the_region_counts_until_the_next_write(graph, tmp_path, monkeypatch):
    monkeypatch.setenv("SINET_EXECUTOR", "regions")
    west = replace(WEST, online_store=OnlineStore("redis://online.west.example"))
    regions = tuple(west if one.name == "WEST" else one for one in SHIPPED.regions)
    deployment = deployment_at(tmp_path, inventory=replace(SHIPPED, regions=regions), executor="regions")

    def fault(instance):
        (*found,) = Kept(instance, graph, deployment).faults(KEY)
        return [one.message for one in found]

    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
        judge(instance, passed=True)
        assert fault(instance) == []
        judge(instance, passed=False)
        assert fault(instance) == [f"{tmp_path}/feast/WEST: {LOST}"]
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
        assert fault(instance) == []
