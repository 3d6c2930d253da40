"""An asset is bound to one region and a kind of hardware that the region has; everything else follows from that."""

import pytest

from resources.placement import bind, bind_check
from sinet_pipelines.errors import NeedsError, UnknownHardwareError, UnknownRegionError
from sinet_pipelines.placement.bindings import step_config
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.schemas.contract import DataClass
from tests.inventory import EAST, REGIONS, WEST, get_hardware


def test_a_binding_is_seen_on_the_page_and_sends_the_step():
    found = bind(EAST, data_class=DataClass.MODEL, hardware="nvidia-a100", kinds={"mlflow"})
    assert found["kinds"] == {"east", "nvidia-a100", "mlflow"}
    assert found["owners"] == ["team:predictive-maintenance"]
    assert found["tags"] == {
        "sinet/region": "EAST",
        "sinet/hardware": "nvidia-a100",
        "sinet/data_class": "model",
        "sinet/cadence": "manual",
    }
    step = found["op_tags"]
    assert (step["sinet/region"], step["sinet/hardware"], step["sinet/needs"]) == ("EAST", "nvidia-a100", "{}")
    assert step["dagster-k8s/config"] == step_config(EAST, get_hardware("nvidia-a100"), Needs())
    assert found["pool"] == "east-nvidia-a100"


def test_a_step_gets_its_regions_resource_those_it_reads_and_what_it_uses():
    found = bind(WEST, data_class=DataClass.FEATURE, reads=REGIONS, uses=["registry"])
    assert found["required_resource_keys"] == {"deployment", "east", "west", "null_island", "registry"}
    assert bind(WEST, data_class=DataClass.RAW)["required_resource_keys"] == {"deployment", "west"}


def test_hardware_that_is_not_on_site_is_refused_with_what_is():
    with pytest.raises(UnknownHardwareError, match=r"WEST has no cerebras-cs2 on site \(it has: .*nvidia-t4.*cpu"):
        bind(WEST, data_class=DataClass.MODEL, hardware="cerebras-cs2")


def test_hardware_that_nobody_knows_is_refused():
    with pytest.raises(UnknownHardwareError, match="abacus"):
        bind(EAST, data_class=DataClass.MODEL, hardware="abacus")


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_every_kind_on_site_can_be_bound_to(region):
    for hardware in region.hardware:
        assert bind(region, data_class=DataClass.MODEL, hardware=hardware)["tags"]["sinet/hardware"] == hardware


def test_a_class_of_hardware_is_bound_as_the_regions_first_of_it():
    found = bind(WEST, data_class=DataClass.MODEL, hardware="gpu")
    assert (found["pool"], found["tags"]["sinet/hardware"]) == ("west-nvidia-t4", "nvidia-t4")


def test_needs_go_with_the_step_and_places_it_may_move_to_are_named_kinds():
    needs = Needs(count=2, may_move_to=(("EAST", "nvidia-a100"), ("WEST", "gpu")))
    step = bind(EAST, data_class=DataClass.MODEL, hardware="gpu", needs=needs, others=[WEST])["op_tags"]
    assert Needs.from_json(step["sinet/needs"]).may_move_to == (("EAST", "nvidia-a100"), ("WEST", "nvidia-t4"))
    assert step["dagster-k8s/config"]["container_config"]["resources"]["limits"]["nvidia.com/gpu"] == "2"


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        (
            ("NOWHERE", "cpu"),
            UnknownRegionError,
            r"NOWHERE, which is none of the regions that it is bound with \(EAST, WEST, NULL_ISLAND\)",
        ),
        (("NULL_ISLAND", "gpu"), UnknownHardwareError, "NULL_ISLAND has no gpu on site"),
        (("WEST", "gpu"), NeedsError, "device_memory_gib is 40, and nvidia-t4 in WEST has 16"),
    ],
)
def test_a_place_to_move_to_that_cannot_be_is_refused_when_the_asset_is_bound(place, error, words):
    with pytest.raises(error, match=words):
        bind(
            EAST,
            data_class=DataClass.MODEL,
            hardware="gpu",
            needs=Needs(count=1, device_memory_gib=40, may_move_to=(place,)),
            others=REGIONS[1:],
        )


def test_a_need_that_no_node_of_the_region_satisfies_is_refused_when_the_asset_is_bound():
    with pytest.raises(NeedsError, match="count is 5, and nvidia-t4 in WEST has at most 4 on a node"):
        bind(WEST, data_class=DataClass.MODEL, hardware="gpu", needs=Needs(count=5))


def test_a_purpose_of_its_own_is_a_tag():
    assert "sinet/purpose" not in bind(EAST, data_class=DataClass.MODEL)["tags"]
    assert bind(EAST, data_class=DataClass.MODEL, purpose="training")["tags"]["sinet/purpose"] == "training"


def test_a_check_of_its_own_is_bound_as_an_asset_is():
    found = bind_check(EAST, hardware="gpu", reads=[WEST], needs=Needs(count=1))
    assert found["op_tags"] == bind(EAST, data_class=DataClass.MODEL, hardware="gpu", needs=Needs(count=1))["op_tags"]
    assert (found["pool"], found["required_resource_keys"]) == ("east-nvidia-h100", {"deployment", "east", "west"})
