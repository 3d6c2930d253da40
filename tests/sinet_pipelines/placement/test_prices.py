"""The price of a step's time."""

import pytest

from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.placement.needs import Needs
from sinet_pipelines.placement.prices import usd_per_second

EAST = read_inventory(None).region("EAST")
HOUR = 3600


@pytest.mark.parametrize(
    ("hardware", "needs", "usd_per_hour"),
    [
        ("cpu", Needs(), 0.04),
        ("cpu", Needs(cpu_millicores=500), 0.02),
        ("nvidia-a100", Needs(count=8), 8 * 3.2),
        ("nvidia-a100", Needs(count=1, is_preemptible=True), 1.1),
        ("amd-mi250", Needs(count=1, is_preemptible=True), 2.5),  # nobody offers it as spot
    ],
)
def test_devices_or_cores_have_the_price_of_the_inventory(hardware, needs, usd_per_hour):
    assert usd_per_second(EAST, hardware, needs) * HOUR == pytest.approx(usd_per_hour)
