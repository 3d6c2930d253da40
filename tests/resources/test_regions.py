"""Each region is one resource: its tables, blobs and drops lie in its own part of the home."""

from dataclasses import replace

import dagster as dg
import pytest

from resources import regions
from resources.regions import region_resources
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.errors import ContractError, InventoryError, UsageError
from sinet_pipelines.storage.tables import empty
from tests.deployed import SHIPPED, deployment_at
from tests.inventory import REGIONS


def test_there_is_one_resource_a_region_with_what_is_on_site(tmp_path):
    found = region_resources(deployment_at(tmp_path))
    assert list(found)[:3] == ["east", "west", "null_island"]
    assert len(found) == len(REGIONS)
    for region in REGIONS:
        resource = found[region.key]
        assert (resource.name, resource.role) == (region.name, region.role)
        assert resource.hardware.split(", ") == list(region.hardware)


@pytest.mark.parametrize("name", regions.RESERVED)
def test_a_region_that_is_called_like_another_resource_is_refused(tmp_path, name):
    inventory = replace(SHIPPED, regions=(*SHIPPED.regions, replace(REGIONS[0], name=name.upper())))
    with pytest.raises(InventoryError, match=f"{name.upper()} is the name of another resource, .*; rename the region"):
        region_resources(deployment_at(tmp_path, inventory=inventory))


def test_the_reserved_names_are_those_of_the_other_resources(definitions):
    regional = {region.key for region in REGIONS}
    assert {key for key in definitions.resources if key not in regional} <= {*regions.RESERVED, "io_manager"}


def test_what_a_region_writes_is_in_its_own_part_of_the_home(tmp_path):
    found = {key: region.of("mill") for key, region in region_resources(deployment_at(tmp_path)).items()}
    found["east"].tables.replace(TRUTH_EVENTS, empty(TRUTH_EVENTS))
    name = found["west"].blobs.put(b"graph")
    assert found["west"].blobs.get(name) == b"graph"
    assert not found["west"].tables.exists(TRUTH_EVENTS)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")) == [
        "EAST/feature",
        "WEST/blobs",
    ]


def test_the_application_is_that_of_the_step_at_work_or_the_one_that_is_named(tmp_path):
    seen = []

    @dg.asset(key=["EAST", "turbofan", "rows"], required_resource_keys={"east"})
    def rows(context: dg.AssetExecutionContext) -> None:
        east = context.resources.east
        seen.extend(
            [
                east.tables.uri(TRUTH_EVENTS),
                east.blobs.application,
                east.landing.folder("EAST"),
                east.of("mill").tables.uri(TRUTH_EVENTS),
            ]
        )

    east = region_resources(deployment_at(tmp_path))["east"]
    assert dg.materialize([rows], resources={"east": east}).success
    root = tmp_path / "EAST"
    assert seen == [
        str(root / "feature/turbofan/truth_events"),
        "turbofan",
        root / "landing/turbofan",
        str(root / "feature/mill/truth_events"),
    ]
    with pytest.raises(UsageError, match="no step is in progress, so no application's part of EAST is meant"):
        _ = east.tables
    with pytest.raises(ContractError, match=r"no application 'mill' \(known: turbofan, milling\)"):
        _ = east.of("mill").landing


def test_a_step_sees_only_the_regions_it_asked_for(tmp_path):
    @dg.asset(required_resource_keys={"east"})
    def asked(context: dg.AssetExecutionContext) -> None:
        assert context.resources.east.name == "EAST"
        with pytest.raises(dg.DagsterUnknownResourceError):
            _ = context.resources.west

    assert dg.materialize([asked], resources=region_resources(deployment_at(tmp_path))).success
