"""Reading all of a home's storage finds what a look at names and sizes does not, and names the file."""

import shutil
from datetime import date

import dagster as dg
import polars as pl
import pytest

from resources.deep import all_faults, deep_faults
from resources.materializations.kept import Kept
from resources.materializations.versions import VERSION_TAG
from resources.placement import bind
from resources.residency import TABLE
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.applications.turbofan.schemas.monitoring import ROWS_BY_DAY
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.blobs import BlobStore, blobs_of
from sinet_pipelines.storage.content import content_hash
from sinet_pipelines.storage.layout import blobs_root
from sinet_pipelines.storage.roots import settle_roots
from sinet_pipelines.storage.tables import empty, tables_of
from tests.deployed import deployment_at
from tests.inventory import EAST
from tests.sinet_pipelines.storage.test_roots import Row
from tests.walk.homes import folder_of

KEY = dg.AssetKey(["EAST", "turbofan", "truth"])
ROWS = pl.DataFrame({"unit": ["a", "b"], "cycle": [1, 2], "rul_cycles": [30, 40]}).with_columns(
    known_at=pl.lit(date(2026, 3, 1)).cast(pl.Datetime("us", "UTC"))
)


@pytest.fixture
def graph():
    @dg.asset(key=KEY, metadata={TABLE: TRUTH_EVENTS.name}, **bind(EAST, data_class=DataClass.FEATURE))
    def truth(): ...

    return dg.Definitions([truth], resources={"east": None, "deployment": None}).resolve_asset_graph()


@pytest.fixture
def kept(tmp_path, graph):
    """A home whose event log recorded a table and which holds a blob."""
    store = tables_of(tmp_path, "EAST", "turbofan")
    written = store.replace(TRUTH_EVENTS, ROWS)
    BlobStore(blobs_root(tmp_path, "EAST"), "turbofan").put(b"a model")
    with dg.DagsterInstance.ephemeral() as instance:
        metadata = {"dagster/row_count": written.rows, "table_version": written.version}
        tags = {VERSION_TAG: written.data_versions[None]}
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, metadata=metadata, tags=tags))
        yield lambda: Kept(instance, graph, deployment_at(tmp_path))


def test_a_whole_home_has_no_fault(kept):
    assert all_faults(kept()) == deep_faults(kept()) == []


def test_rows_that_somebody_changed_are_found_by_their_content(kept, tmp_path):
    store = tables_of(tmp_path, "EAST", "turbofan")
    shutil.rmtree(folder_of(tmp_path, "EAST", TRUTH_EVENTS.name))
    store.replace(TRUTH_EVENTS, ROWS.with_columns(rul_cycles=pl.Series([30, 41])))
    assert all_faults(kept()) == []
    (fault,) = deep_faults(kept())
    assert fault.path == folder_of(tmp_path, "EAST", TRUTH_EVENTS.name)
    assert "remove this folder" in fault.cure


def test_a_data_file_that_does_not_decode_is_found(kept, tmp_path):
    (path,) = (folder_of(tmp_path, "EAST", TRUTH_EVENTS.name)).glob("*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) - 8) + content[-4:])
    assert all_faults(kept()) == []
    (fault,) = deep_faults(kept())
    assert fault.path == path


def test_a_blob_with_other_bytes_is_found(kept, tmp_path):
    (path,) = (path for path in blobs_root(tmp_path, "EAST").rglob("*") if path.is_file())
    path.write_bytes(b"a motel")
    assert all_faults(kept()) == []
    (fault,) = deep_faults(kept())
    assert fault.path == path


def test_a_blob_on_a_store_with_other_bytes_is_found(kept, tmp_path, s3_store, monkeypatch):
    monkeypatch.setenv("SINET_WEST_AT_WEST_ACCESS_KEY_ID", s3_store.key_id)
    monkeypatch.setenv("SINET_WEST_AT_WEST_SECRET_ACCESS_KEY", s3_store.secret)
    settle_roots(tmp_path, [Row("WEST", Root(f"s3://{s3_store.bucket()}", endpoint_url=s3_store.url))])
    blobs = blobs_of(tmp_path, "WEST")
    name = blobs.put(b"a model")
    assert deep_faults(kept()) == []
    blobs.objects.put(f"{name[:2]}/{name}", b"a motel")
    (fault,) = deep_faults(kept())
    assert fault.message.startswith(f"{blobs.place}/{name[:2]}/{name}: the blob holds")


def test_an_empty_table_of_another_contract_is_no_fault(kept, tmp_path):
    tables_of(tmp_path, "WEST", "turbofan").replace(ROWS_BY_DAY, empty(ROWS_BY_DAY))
    assert deep_faults(kept()) == []
    assert content_hash(ROWS, TRUTH_EVENTS) != content_hash(empty(TRUTH_EVENTS), TRUTH_EVENTS)
