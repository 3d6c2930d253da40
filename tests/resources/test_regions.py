"""Each region is one resource: its tables, blobs and drops lie in its own part of the home."""

import dagster as dg
import pytest

from resources.regions import region_resources
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


def test_what_a_region_writes_is_in_its_own_part_of_the_home(tmp_path):
    regions = region_resources(tmp_path)
    regions["east"].tables.replace(TRUTH_EVENTS, empty(TRUTH_EVENTS))
    name = regions["west"].blobs.put(b"graph")
    assert regions["west"].blobs.get(name) == b"graph"
    assert not regions["west"].tables.exists(TRUTH_EVENTS.name)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")) == [
        "blobs/WEST",
        "tables/EAST",
    ]
    assert regions["east"].landing == regions["west"].landing  # zones stand side by side in one folder


def test_a_step_sees_only_the_regions_it_asked_for(tmp_path):
    @dg.asset(required_resource_keys={"east"})
    def asked(context: dg.AssetExecutionContext) -> None:
        assert context.resources.east.name == "EAST"
        with pytest.raises(dg.DagsterUnknownResourceError):
            _ = context.resources.west

    assert dg.materialize([asked], resources=region_resources(tmp_path)).success
