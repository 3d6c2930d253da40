"""Each region is one resource: its tables, blobs and drops lie in its own part of the home."""

from dataclasses import replace

import dagster as dg
import pytest

from resources import regions
from resources.regions import region_resources
from sinet_pipelines.errors import RegistryError
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.schemas.events import TRUTH_EVENTS
from sinet_pipelines.storage.tables import empty


def test_there_is_one_resource_a_region_with_what_is_on_site(tmp_path):
    found = region_resources(tmp_path)
    assert list(found)[:3] == ["east", "west", "null_island"]
    assert len(found) == len(REGIONS)
    for region in REGIONS:
        resource = found[region.key]
        assert (resource.name, resource.role) == (region.name, region.role)
        assert resource.hardware.split(", ") == list(region.hardware)


@pytest.mark.parametrize("name", regions.RESERVED)
def test_a_region_that_is_called_like_another_resource_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(regions, "REGIONS", (*REGIONS, replace(REGIONS[0], name=name.upper())))
    with pytest.raises(RegistryError, match=f"{name.upper()} is the name of another resource, .*; rename the region"):
        region_resources(tmp_path)


def test_the_reserved_names_are_those_of_the_other_resources(definitions):
    regional = {region.key for region in REGIONS}
    assert {key for key in definitions.resources if key not in regional} <= {*regions.RESERVED, "io_manager"}


def test_what_a_region_writes_is_in_its_own_part_of_the_home(tmp_path):
    found = region_resources(tmp_path)
    found["east"].tables.replace(TRUTH_EVENTS, empty(TRUTH_EVENTS))
    name = found["west"].blobs.put(b"graph")
    assert found["west"].blobs.get(name) == b"graph"
    assert not found["west"].tables.exists(TRUTH_EVENTS.name)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")) == [
        "blobs/WEST",
        "tables/EAST",
    ]
    assert found["east"].landing == found["west"].landing  # zones stand side by side in one folder


def test_a_step_sees_only_the_regions_it_asked_for(tmp_path):
    @dg.asset(required_resource_keys={"east"})
    def asked(context: dg.AssetExecutionContext) -> None:
        assert context.resources.east.name == "EAST"
        with pytest.raises(dg.DagsterUnknownResourceError):
            _ = context.resources.west

    assert dg.materialize([asked], resources=region_resources(tmp_path)).success
