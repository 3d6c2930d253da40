"""Dask workers in a region's row: a scheduler is of one region, encrypted, and without credentials in its address."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.inventory.dask import (
    DaskCluster,
    DaskKind,
    DaskPlace,
    require_own_schedulers,
    scheduler_address,
    worker_resource,
)
from sinet_pipelines.inventory.regions import read_inventory

LOCAL = DaskCluster(DaskKind.LOCAL)
REMOTE = DaskCluster(DaskKind.ADDRESS, address="tls://dask.east:8786", tls_folder="/etc/sinet/dask")
KUBERNETES = DaskCluster(DaskKind.KUBERNETES, tls_folder="/etc/sinet/dask")


def inventory(tmp_path, *entries):
    path = tmp_path / "inventory.yaml"
    path.write_text("regions:\n" + "".join(f"  - {one}\n" for one in entries))
    return read_inventory(path)


def test_the_dask_workers_of_a_region_are_read_from_the_file(tmp_path):
    found = inventory(
        tmp_path,
        "{name: EAST, dask: {kind: local, max_workers: 4, worker_memory_mib: 4096}}",
        "{name: WEST, dask: {kind: address, address: 'tls://dask.east:8786', tls_folder: /etc/sinet/dask}}",
    )
    assert found.region("EAST").dask == replace(LOCAL, max_workers=4, worker_memory_mib=4096)
    assert found.region("WEST").dask == REMOTE
    assert found.region("NULL_ISLAND").dask is None


@pytest.mark.parametrize(
    "second", ["tls://dask.east:8786", "tls://DASK.east:8786/", "tls://dask.east.:8786", "tls://dask.east:08786"]
)
def test_two_regions_do_not_have_one_scheduler(tmp_path, second):
    dask = "dask: {{kind: address, tls_folder: /tls, address: '{}'}}"
    with pytest.raises(InventoryError, match=r"EAST and WEST have the Dask scheduler dask.east:8786.* raw rows"):
        inventory(
            tmp_path,
            f"{{name: EAST, {dask.format('tls://dask.east:8786')}}}",
            f"{{name: WEST, {dask.format(second)}}}",
        )


def test_the_loopback_of_a_machine_is_one_place():
    places = [DaskPlace(replace(REMOTE, address=f"tcp://{host}:8786")) for host in ("127.0.0.1", "localhost", "[::1]")]
    assert {name for one in places for name in one.schedulers()} == {"localhost:8786"}


@pytest.mark.parametrize(
    ("second", "context", "is_one"),
    [
        (KUBERNETES, "a", True),
        (KUBERNETES, "b", False),
        (replace(REMOTE, address="tls://sinet-features-scheduler.ml.svc:8786"), "a", True),
        (replace(REMOTE, address="tls://sinet-features-scheduler.ml.svc.cluster.local:8786"), "a", True),
        (replace(REMOTE, address="tls://sinet-features-scheduler.ml.svc:8786"), "b", False),
        (LOCAL, "a", False),
    ],
)
def test_a_service_is_the_scheduler_of_one_region_in_its_kubernetes_cluster(second, context, is_one):
    places = {"EAST": DaskPlace(KUBERNETES, "a", "ml"), "WEST": DaskPlace(second, context, "ml")}
    with pytest.raises(InventoryError, match="have the Dask scheduler") if is_one else nullcontext():
        require_own_schedulers(places)
    assert set(places["EAST"].schedulers()).isdisjoint(places["WEST"].schedulers()) is not is_one


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"min_workers": 0}, "min_workers 0 and max_workers 2; give whole numbers of 1 or more"),
        ({"min_workers": 3}, "min_workers 3 and max_workers 2"),
        ({"worker_memory_mib": 1023}, "worker_memory_mib of dask is 1023; a worker needs 1024 or more"),
        ({"part_s": 0.0}, "wait_s and part_s of dask are 120 and 0; give seconds"),
        ({"address": "tls://dask:8786"}, "dask of kind local has an address; remove it, or set `kind: address`"),
        ({"name": "Sinet"}, "dask has the name 'Sinet'.*allowed are small letters"),
        ({"kind": DaskKind.KUBERNETES}, "dask of kind kubernetes has no tls_folder; name the folder with ca.crt"),
    ],
)
def test_workers_that_cannot_be_are_refused(change, words):
    with pytest.raises(InventoryError, match=words):
        replace(LOCAL, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": ""}, "the address of dask is ''; give one like tls://dask.east:8786"),
        ({"address": "dask.east:8786"}, "the address of dask is 'dask.east:8786'; give one like"),
        ({"address": "tls://dask.east"}, "the address of dask is 'tls://dask.east'; give one like"),
        ({"address": "http://dask.east:8786"}, "the address of dask is 'http://dask.east:8786'; give one like"),
        ({"address": "tls://dask.east:port"}, "the address of dask is 'tls://dask.east:port'; give one like"),
        ({"address": "TLS://dask.east:8786"}, "the address of dask is 'TLS://dask.east:8786'; give one like"),
        ({"address": "TCP://dask.east:8786"}, "the address of dask is 'TCP://dask.east:8786'; give one like"),
        ({"address": "tcp://dask.east:8786"}, "rows of telemetry would travel unencrypted"),
        ({"address": "tcp://10.0.0.1:8786"}, "rows of telemetry would travel unencrypted"),
        ({"tls_folder": "tls"}, "tls_folder of dask is 'tls'; give an absolute path"),
        ({"tls_folder": ""}, "has no tls_folder; name the folder with ca.crt, tls.crt and tls.key"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_safely_is_refused(change, words):
    with pytest.raises(InventoryError, match=words):
        replace(REMOTE, **change)


def test_no_message_repeats_a_password():
    with pytest.raises(InventoryError, match="has a user, a password") as raised:
        replace(REMOTE, address="tls://anna:geheim@dask.east:8786")
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_scheduler_of_this_machine_may_be_plain(host):
    assert replace(REMOTE, address=f"tcp://{host}:8786", tls_folder="").address == f"tcp://{host}:8786"


def test_a_scheduler_of_kubernetes_has_the_address_of_its_service():
    cluster = replace(LOCAL, kind=DaskKind.KUBERNETES, tls_folder="/tls")
    assert scheduler_address(cluster, namespace="ml-east") == "tls://sinet-features-scheduler.ml-east.svc:8786"
    assert scheduler_address(REMOTE, namespace="ml-east") == "tls://dask.east:8786"
    assert worker_resource("NULL_ISLAND") == "region-NULL_ISLAND"
