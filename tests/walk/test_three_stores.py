"""Milling on three object stores with keys of their own, each enforcing its policy: the home holds no row."""

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest

from sinet_pipelines.applications.milling.application import MILLING
from sinet_pipelines.applications.milling.delivery import land_simulated
from sinet_pipelines.applications.milling.landed import RECORDS
from sinet_pipelines.applications.milling.tables import TRAINING_SET
from sinet_pipelines.errors import ForbiddenError
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.manifests.policies import bucket_policy, identity
from sinet_pipelines.storage.credentials import variable
from sinet_pipelines.storage.layout import BLOBS, LANDING
from sinet_pipelines.storage.roots import FILE, Stores, settle_roots
from sinet_pipelines.storage.tables import tables_of
from tests.inventory import NAMES, REGIONS
from tests.policies import enforcing
from tests.stores import running_store
from tests.walk.conftest import DRIVER, LIMIT_S, environment_of
from tests.zones import landing_zone

pytestmark = pytest.mark.slow
BUCKETS = {region.name: identity(region) for region in REGIONS}
PRODUCTS = 4000


def key_of(reader, store):
    """The access key of a region at the store of another."""
    return f"AKIA{reader}AT{store}".replace("_", "")


@pytest.fixture(scope="module")
def addresses():
    """The address of each region's store, a process of its own that only the regions' keys and its policy open."""
    with ExitStack() as stack:
        found = {}
        for region in REGIONS:
            store, bucket = stack.enter_context(running_store()), BUCKETS[region.name]
            store.bucket(bucket)
            policy = bucket_policy(replace(region, root=Root(f"s3://{bucket}/plant")), REGIONS)
            users = {key_of(one.name, region.name): f"arn:aws:iam:::user/{identity(one)}" for one in REGIONS}
            found[region.name] = stack.enter_context(enforcing(store.port, {bucket: policy}, users))
        yield found


@pytest.fixture(scope="module")
def roots(addresses):
    return {name: Root(f"s3://{BUCKETS[name]}/plant", endpoint_url=url) for name, url in addresses.items()}


@pytest.fixture(scope="module", autouse=True)
def keys():
    """The environment with the keys of each region at each store."""
    pairs = [(reader, store) for reader in NAMES for store in NAMES]
    found = {variable(*pair, "access_key_id"): key_of(*pair) for pair in pairs}
    found |= {variable(*pair, "secret_access_key"): f"secret-of-{key_of(*pair)}" for pair in pairs}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in found.items():
            patched.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def sinet(walk_project, roots, keys, tmp_path_factory):
    """`sinet` as a process of its own with an inventory of the three roots; returns what it printed."""
    inventory = tmp_path_factory.mktemp("stores") / "inventory.yaml"
    rows = [
        f"  - {{name: {name}, root: {{uri: '{root.uri}', endpoint_url: '{root.endpoint_url}'}}}}"
        for name, root in roots.items()
    ]
    inventory.write_text("\n".join(["regions:", *rows]) + "\n")

    def run(*arguments):
        ended = subprocess.run(
            [sys.executable, str(DRIVER), "none", *map(str, arguments)],
            cwd=walk_project,
            env=environment_of(walk_project, **keys, SINET_INVENTORY=str(inventory)),
            capture_output=True,
            text=True,
            timeout=2 * LIMIT_S,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


@pytest.fixture(scope="module")
def walked(sinet, roots, tmp_path_factory):
    """The home, and what the first `sinet run milling --json` printed."""
    home = tmp_path_factory.mktemp("three_stores") / "home"
    home.mkdir()
    settle_roots(home, [replace(region, root=roots[region.name]) for region in REGIONS])
    land_simulated(home, records=PRODUCTS, regions=NAMES)
    content = json.loads(sinet("run", "milling", "--home", home, "--json"))
    yield home, content
    sinet("stop", "--home", home)


def objects(home):
    """Every object of every store, with its state."""
    return {name: {one.key: one.state for one in Stores(home)[name].walk()} for name in NAMES}


def test_every_asset_is_made_and_the_endpoint_answers(walked, sinet):
    home, result = walked
    assert result["failed"] == []
    assert {one["state"] for one in result["assets"]} <= {"done", "partial"}
    (endpoint,) = result["endpoints"]
    assert (endpoint["region"], endpoint["ready"]) == ("WEST", True)
    answer = json.loads(sinet("predict", "--home", home, "--json"))
    assert answer["model"] == "milling_machine_failure"
    assert answer["predictions"]


def test_no_row_and_no_model_of_a_region_lies_in_the_home(walked):
    home, _ = walked
    assert not set(NAMES) & {path.name for path in home.iterdir()}
    assert (home / FILE).exists()
    assert list(home.rglob("_delta_log")) == []
    assert list(home.rglob("*.parquet")) == []


def test_each_store_is_laid_out_by_class_and_holds_its_regions_rows(walked):
    home, _ = walked
    for name, found in objects(home).items():
        assert {key.split("/")[0] for key in found} <= {LANDING, BLOBS, "raw", "sequence", "feature", "model"}
        assert any(key.startswith("raw/milling/raw_records/_delta_log/") for key in found), name
        assert any(key.startswith("landing/milling/") for key in found), name


def test_the_row_account_closes_and_doctor_finds_no_fault(walked, sinet):
    home, _ = walked
    rows = json.loads(sinet("status", "--home", home, "--json"))["rows"]
    assert rows["sent"] == rows["landed"] + rows["duplicates"] > PRODUCTS
    assert rows["landed"] == rows["in_tables"] + rows["quarantined"] + rows["withheld"] + rows["pending"]
    assert rows["in_tables"] > 0.9 * PRODUCTS
    assert "storage: everything recorded is there" in sinet("doctor", "--home", home)


def test_a_second_run_changes_no_object(walked, sinet):
    home, _ = walked
    before = objects(home)
    content = json.loads(sinet("run", "milling", "--home", home, "--json"))
    assert objects(home) == before
    assert content["failed"] == []


def test_what_no_edge_allows_is_refused_by_the_store_as_well(walked):
    home, _ = walked
    zone = landing_zone(home, RECORDS, stores=Stores(home, "EAST"))
    own = landing_zone(home, RECORDS)
    day = own.days("WEST")[0]
    assert own.read_day("WEST", day).rows.height
    for read in (
        zone.days,
        lambda region: zone.read_day(region, day),
        lambda region: zone.read_events(region, "outcomes"),
    ):
        with pytest.raises(ForbiddenError, match="check the credentials of this region and the policy"):
            read("WEST")
    west, raw = tables_of(home, "WEST", MILLING.name, reader="EAST"), RECORDS.raw
    for use in (west.read, west.days, west.health):
        with pytest.raises(ForbiddenError, match="raw/milling/raw_records"):
            use(raw)
    assert tables_of(home, "EAST", MILLING.name, reader="WEST").read(TRAINING_SET).height
