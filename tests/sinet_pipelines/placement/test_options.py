"""What an option costs and lasts, and the reason of every place that is no option."""

import math
from dataclasses import replace

import pytest

from sinet_pipelines.errors import PlacementInputError, UsageError
from sinet_pipelines.inventory.sites import TeamQuota
from sinet_pipelines.placement.durations import Gang, all_reduce_hours, on_spot
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.options import Work, options_of
from sinet_pipelines.placement.policies import policy_of
from sinet_pipelines.placement.problem import microusd
from tests.inventory import EAST, REGIONS

TRAINING = Work(
    "turbofan/network",
    "EAST",
    "nvidia-a100",
    Needs(count=2, is_preemptible=True),
    hours=10.0,
    open_to=(("WEST", "nvidia-a100"),),
)


def by_place(work, **options):
    found, removed = options_of(work, REGIONS, **options)
    return {one.name: one for one in found}, {(one.region, one.hardware): one for one in removed}


def test_a_reserved_option_costs_its_devices_for_its_hours():
    found, _ = by_place(TRAINING)
    option = found["EAST/nvidia-a100/reserved"]
    assert (option.count, option.cost_microusd, option.duration_ms) == (2, 64_000_000, 36_000_000)
    assert option.carbon_mg == pytest.approx(1000 * 2 * 0.4 * 1.2 * 10 * sum(EAST.carbon_g_per_kwh.values) / 24)
    assert (option.power_w, option.unit_ms) == (960, 72_000_000)


def test_a_spot_option_pays_for_the_work_that_interruptions_repeat():
    found, _ = by_place(TRAINING)
    hours = (math.exp(2 * 0.02 * 10) - 1) / (2 * 0.02)
    assert found["EAST/nvidia-a100/spot"].cost_microusd == round(1.1 * 2 * hours * 1e6)
    assert found["EAST/nvidia-a100/spot"].duration_ms == round(hours * 3_600_000)


def test_a_step_that_may_not_be_preempted_has_no_spot_option():
    found, _ = by_place(replace(TRAINING, needs=Needs(count=2)))
    assert list(found) == ["EAST/nvidia-a100/reserved", "WEST/nvidia-a100/reserved"]


def test_a_step_that_spot_would_interrupt_without_end_has_no_such_option():
    assert on_spot(10_000.0, 0.05, 8) is None
    found, _ = by_place(replace(TRAINING, hours=10_000.0))
    assert all(one.flavour == "reserved" for one in found.values())
    _, removed = options_of(replace(TRAINING, hours=10_000.0), REGIONS)
    spot = [one for one in removed if one.flavour == "spot"]
    assert [(one.region, one.rule) for one in spot] == [("EAST", "needs"), ("WEST", "needs")]
    assert spot[0].reason == "spot would be interrupted more than 20 times before it ends"


def test_a_faster_kind_takes_less_time_by_the_data_sheets():
    found, _ = by_place(replace(TRAINING, open_to=(("EAST", "nvidia-h100"),)))
    ratio = found["EAST/nvidia-a100/reserved"].duration_ms / found["EAST/nvidia-h100/reserved"].duration_ms
    assert ratio == pytest.approx(989 / 312, rel=1e-6)


def test_all_cores_of_a_step_count_against_a_device():
    one, many = (
        Work("mill/step", "WEST", "nvidia-t4", Needs(cpu_millicores=cores * 1000), open_to=(("WEST", "cpu"),))
        for cores in (1, 16)
    )
    took = [by_place(work)[0]["WEST/cpu/reserved"] for work in (one, many)]
    assert took[0].duration_ms == pytest.approx(16 * took[1].duration_ms, rel=1e-6)
    assert took[0].cost_microusd == pytest.approx(took[1].cost_microusd, rel=1e-4)


def test_a_step_of_more_devices_than_a_quota_has_is_no_option():
    regions = [
        replace(one, team_quotas=(TeamQuota("predictive-maintenance", "nvidia-a100", 4),) if one == EAST else ())
        for one in REGIONS
    ]
    work = replace(TRAINING, needs=Needs(count=8), hours=1.0)
    found, removed = options_of(work, regions)
    assert [one.region for one in found] == ["WEST"]
    (own,) = [one for one in removed if one.rule == "quota"]
    assert own.reason == "it uses 8 nvidia-a100 at once, and the quota of predictive-maintenance in EAST is 4"
    assert [one.region for one in options_of(replace(work, needs=Needs(count=4)), regions)[0]] == ["EAST", "WEST"]


def test_every_place_that_is_no_option_has_its_reason():
    found, removed = by_place(TRAINING)
    places = {(region.name, kind) for region in REGIONS for kind in region.hardware}
    assert {(one.region, one.hardware) for one in found.values()} | set(removed) == places
    assert removed["EAST", "cpu"].reason == "count is 2, and cpu in EAST has at most 0 on a node"
    assert removed["EAST", "nvidia-h100"].reason == "its definition allows EAST/nvidia-a100, WEST/nvidia-a100 alone"
    assert removed["NULL_ISLAND", "cpu"].rule == "binding"


def test_a_region_or_a_kind_that_is_left_out_is_no_option():
    found, removed = by_place(TRAINING, without=["EAST"])
    assert {one.region for one in found.values()} == {"WEST"}
    assert removed["EAST", "nvidia-a100"].reason == "EAST is left out"
    found, removed = by_place(TRAINING, without=["WEST/nvidia-a100"])
    assert {one.region for one in found.values()} == {"EAST"}
    assert removed["WEST", "nvidia-a100"].reason == "WEST/nvidia-a100 is left out"


def test_an_option_above_the_most_that_a_step_may_cost_is_removed():
    found, removed = by_place(replace(TRAINING, needs=Needs(count=2, is_preemptible=True, max_usd=30.0)))
    assert all(one.flavour == "spot" for one in found.values())
    dear = removed["EAST", "nvidia-a100"]
    assert (dear.reason, dear.flavour) == ("reserved costs $64, more than max_usd 30", "reserved")


def test_a_gang_over_several_nodes_pays_for_its_fabric_and_one_on_a_node_does_not():
    gang = Gang(bytes=10**9, rounds=3600)
    assert all_reduce_hours(gang, devices=8, devices_per_node=8, region=EAST) == 0.0
    slow = replace(EAST, fabric="Ethernet 25 Gbit/s")
    assert all_reduce_hours(gang, devices=16, devices_per_node=8, region=slow) == pytest.approx(2 * 15 / 16 * 8 / 25)
    wide = replace(TRAINING, needs=Needs(count=16), gang=gang, hours=1.0)
    assert by_place(wide)[0]["EAST/nvidia-a100/reserved"].duration_ms > 3_600_000
    assert by_place(replace(wide, gang=None))[0] == {}
    huge = replace(wide, needs=Needs(count=16, memory_mib=10**9))
    assert "memory_mib is 1000000000" in by_place(huge)[1]["EAST", "nvidia-a100"].reason
    nameless = [replace(one, fabric="Ethernet") for one in REGIONS]
    (bare, _) = [one for one in options_of(wide, nameless)[1] if one.hardware == "nvidia-a100"]
    assert bare.reason == "the fabric of EAST is 'Ethernet', without a speed"
    with pytest.raises(PlacementInputError, match="without a speed; write it as 'Ethernet 100 Gbit/s'"):
        all_reduce_hours(gang, devices=16, devices_per_node=8, region=replace(EAST, fabric="wires"))


def test_a_wait_delays_an_option_and_costs_nothing():
    found, _ = by_place(TRAINING, waits_s={("WEST", "nvidia-a100"): 90.0})
    assert found["WEST/nvidia-a100/reserved"].wait_ms == 90_000
    assert found["WEST/nvidia-a100/reserved"].cost_microusd == found["EAST/nvidia-a100/reserved"].cost_microusd


@pytest.mark.parametrize("usd", [-0.01, float("nan"), float("inf")])
def test_an_impossible_price_is_refused(usd):
    with pytest.raises(PlacementInputError, match="allowed is a number of 0 or more, in USD"):
        microusd(usd)


@pytest.mark.parametrize("text", ["dearest", "cheapest:usd_per_hour=1", "weighted:watts=3", "weighted:usd_per_kg=-1"])
def test_a_policy_or_weight_that_does_not_exist_is_refused(text):
    with pytest.raises(UsageError, match="no policy|is no weight"):
        policy_of(text)
