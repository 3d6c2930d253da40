"""An asset is bound to one region and a kind of hardware that the region has; everything else follows from that."""

import pytest

from resources.placement import bind
from sinet_pipelines.errors import UnknownHardwareError
from sinet_pipelines.hardware import get_hardware
from sinet_pipelines.placement.bindings import step_config
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.regions import EAST, REGIONS, WEST
from sinet_pipelines.schemas.contract import DataClass


def test_a_binding_is_seen_on_the_page_and_sends_the_step():
    found = bind(EAST, data_class=DataClass.MODEL, hardware="nvidia-a100", kinds={"mlflow"})
    assert found["kinds"] == {"east", "nvidia-a100", "mlflow"}
    assert found["owners"] == ["team:predictive-maintenance"]
    assert found["tags"] == {
        "sinet/region": "EAST",
        "sinet/hardware": "nvidia-a100",
        "sinet/data_class": "model",
    }
    step = found["op_tags"]
    assert (step["sinet/region"], step["sinet/hardware"], step["sinet/needs"]) == ("EAST", "nvidia-a100", "{}")
    assert step["dagster-k8s/config"] == step_config(EAST, get_hardware("nvidia-a100"), Needs())
    assert found["pool"] == "east-nvidia-a100"


def test_a_step_gets_its_regions_resource_those_it_reads_and_what_it_uses():
    found = bind(WEST, data_class=DataClass.FEATURE, reads=REGIONS, uses=["registry"])
    assert found["required_resource_keys"] == {"east", "west", "null_island", "registry"}
    assert bind(WEST, data_class=DataClass.RAW)["required_resource_keys"] == {"west"}


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
