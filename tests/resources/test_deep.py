"""Reading all of a home's storage finds what a look at names and sizes does not, and names the file."""

import shutil
from datetime import date

import dagster as dg
import polars as pl
import pytest

from resources.deep import all_faults, deep_faults
from resources.kept import Kept
from resources.placement import bind
from resources.residency import TABLE
from resources.versions import VERSION_TAG
from sinet_pipelines.regions import EAST
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.schemas.events import TRUTH_EVENTS
from sinet_pipelines.schemas.monitoring import ROWS_BY_DAY
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.content import content_hash
from sinet_pipelines.storage.tables import TableStore, empty

KEY = dg.AssetKey(["EAST", "truth"])
ROWS = pl.DataFrame({"unit": ["a", "b"], "cycle": [1, 2], "rul_cycles": [30, 40]}).with_columns(
    known_at=pl.lit(date(2026, 3, 1)).cast(pl.Datetime("us", "UTC"))
)


@pytest.fixture
def graph():
    @dg.asset(key=KEY, metadata={TABLE: TRUTH_EVENTS.name}, **bind(EAST, data_class=DataClass.FEATURE))
    def truth(): ...

    return dg.Definitions([truth], resources={"east": None}).resolve_asset_graph()


@pytest.fixture
def kept(tmp_path, graph):
    """A home whose event log recorded a table and which holds a blob."""
    store = TableStore(str(tmp_path / "tables" / "EAST"))
    written = store.replace(TRUTH_EVENTS, ROWS)
    BlobStore(tmp_path / "blobs" / "EAST").put(b"a model")
    with dg.DagsterInstance.ephemeral() as instance:
        metadata = {"dagster/row_count": written.rows, "table_version": written.version}
        tags = {VERSION_TAG: written.data_versions[None]}
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, metadata=metadata, tags=tags))
        yield lambda: Kept(instance, graph, tmp_path)


def test_a_whole_home_has_no_fault(kept):
    assert all_faults(kept()) == deep_faults(kept()) == []


def test_rows_that_somebody_changed_are_found_by_their_content(kept, tmp_path):
    store = TableStore(str(tmp_path / "tables" / "EAST"))
    shutil.rmtree(tmp_path / "tables")
    store.replace(TRUTH_EVENTS, ROWS.with_columns(rul_cycles=pl.Series([30, 41])))
    assert all_faults(kept()) == []
    (fault,) = deep_faults(kept())
    assert fault.path == tmp_path / "tables" / "EAST" / TRUTH_EVENTS.name
    assert "remove this folder" in fault.cure


def test_a_data_file_that_does_not_decode_is_found(kept, tmp_path):
    (path,) = (tmp_path / "tables" / "EAST" / TRUTH_EVENTS.name).glob("*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) - 8) + content[-4:])
    assert all_faults(kept()) == []
    (fault,) = deep_faults(kept())
    assert fault.path == path


def test_a_blob_with_other_bytes_is_found(kept, tmp_path):
    (path,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    path.write_bytes(b"a motel")
    assert all_faults(kept()) == []
    (fault,) = deep_faults(kept())
    assert fault.path == path


def test_an_empty_table_of_another_contract_is_no_fault(kept, tmp_path):
    TableStore(str(tmp_path / "tables" / "WEST")).replace(ROWS_BY_DAY, empty(ROWS_BY_DAY))
    assert deep_faults(kept()) == []
    assert content_hash(ROWS, TRUTH_EVENTS) != content_hash(empty(TRUTH_EVENTS), TRUTH_EVENTS)
