"""Deliveries land where the home's record of roots places a region, and land nothing twice there."""

from dataclasses import dataclass

import pytest

from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.errors import StorageError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.credentials import variable
from sinet_pipelines.storage.roots import Stores, settle_roots
from tests.contracts.test_landing_zones import TODAY
from tests.inventory import NAMES, REGIONS
from tests.zones import landing_zone


@dataclass(frozen=True)
class Row:
    """What of a region's row its root follows from."""

    name: str
    root: Root | None = None


@pytest.fixture
def home(tmp_path, s3_store, monkeypatch):
    """A home whose EAST and WEST are on a store, and whose NULL_ISLAND is a folder elsewhere."""
    home = tmp_path / "home"
    home.mkdir()
    roots = {
        **{name: Root(f"s3://{s3_store.bucket()}/plant", endpoint_url=s3_store.url) for name in ("EAST", "WEST")},
        "NULL_ISLAND": Root(str(tmp_path / "a disk #1")),
    }
    settle_roots(home, [Row(name, root) for name, root in roots.items()])
    for name in ("EAST", "WEST"):
        monkeypatch.setenv(variable(name, name, "access_key_id"), s3_store.key_id)
        monkeypatch.setenv(variable(name, name, "secret_access_key"), s3_store.secret)
    return home


def keys(home):
    return {name: [one.key for one in Stores(home)[name].walk()] for name in ("EAST", "WEST")}


def contents(home):
    """What landed, by region and day."""
    zone = landing_zone(home, RECORDS)
    days = {region.name: zone.days(region.name) for region in REGIONS}
    return {(name, day): zone.fingerprint(name, day) for name, found in days.items() for day in found}


def land(home, **more):
    return land_simulated(home, records=300, today=TODAY, **more, regions=NAMES)


@pytest.mark.slow
def test_simulated_data_land_in_the_stores_and_twice_changes_nothing(home, tmp_path):
    first = land(home)
    before = keys(home)
    assert {path.name for path in home.iterdir()} == {"roots.json", "landed", "landed-milling.json"}
    assert all(key.startswith("landing/milling/") for found in before.values() for key in found)
    assert list((tmp_path / "a disk #1" / "landing" / "milling").iterdir())
    again = land(home)
    assert (again.new_drops, again.rows, keys(home)) == (0, first.rows, before)
    land(tmp_path / "local")
    assert contents(home) == contents(tmp_path / "local")


def test_a_removed_drop_is_put_back_only_where_that_is_wanted(home):
    land(home)
    before = keys(home)
    Stores(home)["EAST"].delete(before["EAST"][0])
    land(home, restore=False)
    assert keys(home)["EAST"] == before["EAST"][1:]
    land(home)
    assert keys(home) == before


def test_a_drop_that_was_cut_short_is_landed_again(home):
    land(home)
    east, key = Stores(home)["EAST"], keys(home)["EAST"][0]
    whole = east.read(key)
    east.put(key, whole[:50])
    land(home)
    assert east.read(key) == whole


def test_without_credentials_nothing_lands_and_the_message_names_them(home, monkeypatch):
    monkeypatch.delenv(variable("EAST", "EAST", "secret_access_key"))
    with pytest.raises(StorageError, match="EAST has no credentials at the store of EAST"):
        land(home)
    assert list(Stores(home)["WEST"].walk()) == []
