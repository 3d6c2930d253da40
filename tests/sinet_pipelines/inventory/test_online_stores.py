"""The online store in a region's row: an address without a password, or one sentence about what is wrong."""

from dataclasses import replace

import pytest

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.online_stores import OnlineStore
from sinet_pipelines.inventory.regions import read_inventory
from sinet_pipelines.manifests.base import network
from tests.inventory import get_region


def test_a_region_names_its_server_in_the_inventory_file_and_others_have_a_file(tmp_path):
    path = tmp_path / "inventory.yaml"
    path.write_text("regions:\n  - name: WEST\n    online_store: {url: 'rediss://[::1]:6380/2', lag_limit_s: 60}\n")
    found = read_inventory(path)
    assert found.region("WEST").online_store == OnlineStore("rediss://[::1]:6380/2", lag_limit_s=60)
    assert found.region("EAST").online_store.kind == "sqlite"


def test_pods_of_the_region_may_reach_the_port_of_its_server():
    region = replace(get_region("WEST"), online_store=OnlineStore("redis://host:6390"))
    (egress,) = (one for one in network(region) if one["metadata"]["name"] == "allow-egress")
    assert {"port": 6390, "protocol": "TCP"} in egress["spec"]["egress"][1]["ports"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"url": "redis://u:secret@host:1/0"}, "has a user, a password or options"),
        ({"url": "redis://host?password=secret"}, "has a user, a password or options"),
        ({"url": "redis://:secret"}, "is 'redis://:...'; give one like rediss://"),
        ({"url": "redis://sinet:1secret/0"}, "is 'redis://sinet:...'; give one like rediss://"),
        ({"url": "redis://host:70000"}, "has a port outside 1 to 65535"),
        ({"url": "memcached://host"}, "give one like rediss://"),
        ({"url": "redis://host:1/0/1"}, "give one like rediss://"),
        ({"user": "sinet"}, "and no url"),
        ({"lag_limit_s": 0}, "give seconds above 0"),
        ({"lag_limit_s": float("nan")}, "give seconds above 0"),
    ],
)
def test_a_wrong_row_is_refused_without_its_secret(row, message):
    with pytest.raises(InventoryError, match=message) as refused:
        OnlineStore(**row)
    assert "secret" not in str(refused.value)
