"""Steps over three regions, each on an S3 store of its own that enforces the policy of its bucket."""

from contextlib import ExitStack
from dataclasses import replace

import dagster as dg
import pytest

from assets.framework.regional import here
from assets.framework.reports import made
from assets.turbofan.keys import global_key, regional_key
from resources.deployment import RESOURCE
from resources.placement import bind
from resources.regions import region_resources
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.manifests.policies import bucket_policy, identity
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.tables import empty
from tests.deployed import SHIPPED, deployment_at
from tests.inventory import EAST, REGIONS, WEST
from tests.policies import enforcing
from tests.resources.test_reads import FAILURES, entries, failures, run
from tests.stores import running_store

SECRET = "a-secret-that-no-page-shows"  # noqa: S105


@pytest.fixture(scope="module")
def three_stores():
    """A store of its own for each region, as a process each."""
    with ExitStack() as stack:
        yield {region.name: stack.enter_context(running_store()) for region in REGIONS}


@pytest.fixture
def regions(tmp_path, three_stores, monkeypatch):
    """The regions' resources of a home on three stores; WEST holds failures, early telemetry and a blob."""
    with ExitStack() as stack:
        rows = []
        for region in REGIONS:
            store = three_stores[region.name]
            bucket, keys = store.bucket(), {}
            for reader in REGIONS:
                key = f"AKIA{reader.name}AT{region.name}".replace("_", "")
                keys[key] = f"arn:aws:iam:::user/{identity(reader)}"
                monkeypatch.setenv(f"SINET_{reader.name}_AT_{region.name}_ACCESS_KEY_ID", key)
                monkeypatch.setenv(f"SINET_{reader.name}_AT_{region.name}_SECRET_ACCESS_KEY", SECRET)
            policy = bucket_policy(replace(region, root=Root(f"s3://{bucket}/plant")), REGIONS)
            url = stack.enter_context(enforcing(store.port, {bucket: policy}, keys))
            rows.append(replace(region, root=Root(f"s3://{bucket}/plant", endpoint_url=url)))
        deployment = deployment_at(tmp_path, inventory=replace(SHIPPED, regions=tuple(rows)))
        found = {RESOURCE: deployment, **region_resources(deployment)}
        west = found["west"].of("turbofan")
        west.tables.replace(FAILURE_EVENTS, FAILURES)
        west.tables.replace(EARLY_TELEMETRY, empty(EARLY_TELEMETRY))
        west.blobs.point("regimes", west.blobs.put(b"12345"))
        yield found


def in_east(read, *, deps=(failures,)):
    """A step of EAST that reads and returns a version."""

    @dg.asset(
        key=global_key("reader"),
        deps=list(deps),
        code_version="1",
        **bind(EAST, data_class=DataClass.FEATURE, reads=[WEST]),
    )
    def reader(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return made(context, str(read(context)))

    return reader


@dg.asset(
    key=regional_key(WEST, "early_telemetry"),
    **bind(WEST, data_class=DataClass.FEATURE),  # a lie: the contract's class is raw
)
def lied_about() -> None: ...


def read_early(context):
    return here(context, WEST).tables.read(EARLY_TELEMETRY)


def test_a_step_reads_another_region_with_its_own_key_there_and_writes_to_its_own_store(regions, tmp_path):
    def body(context):
        rows = here(context, WEST).tables.read(FAILURE_EVENTS)
        here(context, EAST).tables.replace(FAILURE_EVENTS, rows)
        assert here(context, WEST).blobs.get_ref("regimes") == b"12345"
        return here(context, EAST).blobs.put(b"of east")

    result, message = run(regions, failures, in_east(body))
    assert result.success, message
    assert entries(result)["bytes_from_other_regions"] > 0
    assert regions["east"].of("turbofan").tables.read(FAILURE_EVENTS).equals(FAILURES)
    assert not any((tmp_path / region.name).exists() for region in REGIONS)


def test_a_step_with_a_wrong_edge_is_refused_by_the_store_as_well(regions):
    """The definitions call raw rows features, so that every check of the platform passes; the store refuses."""
    result, outcome = run(
        regions,
        lied_about,
        in_east(lambda context: here(context, WEST).tables.read(EARLY_TELEMETRY), deps=[lied_about]),
    )
    assert not result.success
    assert "raw/turbofan/early_telemetry: the store refuses it" in outcome


def test_a_step_opens_the_landing_zone_of_another_region_with_its_own_key_and_is_refused(regions):
    result, message = run(regions, failures, in_east(lambda context: here(context, EAST).landing.days("EAST")))
    assert result.success, message
    result, message = run(regions, failures, in_east(lambda context: here(context, EAST).landing.days("WEST")))
    assert not result.success
    assert "check the credentials of this region and the policy of the bucket" in message


def test_a_step_writes_nothing_to_the_store_of_another_region(regions):
    def body(context):
        return here(context, WEST).tables.replace(FAILURE_EVENTS, FAILURES.head(1)).version

    result, message = run(regions, failures, in_east(body))
    assert not result.success
    assert "the store refuses it" in message
    assert regions["west"].of("turbofan").tables.read(FAILURE_EVENTS).height == FAILURES.height


def test_a_step_without_an_edge_gets_no_credentials_there(regions):
    result, message = run(regions, failures, in_east(lambda context: here(context, WEST).tables, deps=()))
    assert not result.success
    assert "has no credentials at the store of WEST, from which none of its edges comes" in message


def test_no_credential_is_in_an_event_or_in_a_file_of_the_home(regions, tmp_path):
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        reader = in_east(lambda context: here(context, WEST).tables.read(EARLY_TELEMETRY), deps=[lied_about])
        result = dg.materialize(
            [lied_about, reader],
            selection=["turbofan/reader"],
            resources=regions,
            instance=instance,
            raise_on_error=False,
        )
        assert not result.success
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert b"AKIAEASTATWEST" not in content, path


def test_a_home_follows_its_regions_to_their_stores(regions, tmp_path):
    assert regions["east"].root.startswith("s3://")
    settle_roots(tmp_path, REGIONS)
    assert regions["east"].root == str(tmp_path / "EAST")
