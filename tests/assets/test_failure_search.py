"""The search of similar failures on a few windows that no run made, and an index whose recall is too low."""

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.framework.nearest import RECALL_CHECK, _measured, failure_index_of
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.past_failures import EMBEDDING, PAST_FAILURES, past_windows
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES
from sinet_pipelines.errors import UsageError
from sinet_pipelines.features import nearest
from sinet_pipelines.features.nearest import to_bytes
from sinet_pipelines.notebook.similar import FailureSearch
from sinet_pipelines.storage.blobs import blobs_of
from sinet_pipelines.storage.tables import tables_of
from tests.conftest import resources_of
from tests.inventory import EAST
from tests.sinet_pipelines.applications.turbofan.test_past_failures import AT, windows

UNITS = tuple(f"E{n:02}" for n in range(12))
FLOWN = ("live", "young", "gap", "twice")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """12 failed engines at random places in EAST, their index, and four engines that fly."""
    home, rng = tmp_path_factory.mktemp("small home"), np.random.default_rng(3)
    tables = tables_of(home, "EAST", "turbofan")
    failed = {"unit": list(UNITS), "cycle": [60 + n for n in range(12)], "failed_at": [AT] * 12}
    tables.replace(FAILURE_EVENTS, pl.DataFrame(failed))
    parts = [windows(unit, list(range(30, 60 + n))) for n, unit in enumerate(UNITS)]
    parts += [windows("live", [40, 41]), windows("young", [7], whole=7), windows("gap", [50])]
    parts += [windows("gap", [51], whole=29), windows("twice", [33, 33])]
    rows = pl.concat(parts)
    places = {name: rng.normal(size=rows.height).astype(np.float32) for name in EMBEDDING.columns}
    tables.replace_days(WINDOW_FEATURES, rows.with_columns(**places), days=[AT.date()])
    index, facts = _measured(PAST_FAILURES, past_windows(tables))
    blobs = blobs_of(home, "EAST", "turbofan")
    blobs.point(PAST_FAILURES.ref, blobs.put(to_bytes(index, facts)))
    return home


def search(home):
    return FailureSearch(home, TURBOFAN, ("EAST",))


def test_without_an_index_the_same_windows_are_compared(home, monkeypatch):
    indexed = search(home).similar_to("live", count=8)
    monkeypatch.setattr(nearest, "_MAGIC", b"ANOTHER1")
    found = search(home).similar_to("live", count=8)
    assert indexed.notes == ()
    assert "its windows were compared one by one instead" in found.notes[0]
    assert found.rows.drop("distance").equals(indexed.rows.drop("distance"))
    np.testing.assert_allclose(found.rows["distance"], indexed.rows["distance"], rtol=1e-4)


def test_without_usearch_the_windows_are_compared_one_by_one(home, monkeypatch):
    def absent():
        raise UsageError("an index of past failures needs the module usearch")

    monkeypatch.setattr(nearest, "_library", absent)
    found = search(home).similar_to("live", count=8)
    assert "needs the module usearch" in found.notes[0]
    assert found.rows.height == 8


@pytest.mark.parametrize(
    ("unit", "cycle", "note"),
    [
        ("gap", 50, "the newest window of gap (cycle 51) is incomplete or occurs twice; that of cycle 50 was used"),
        ("young", 7, "young has no complete window (needed: 30 cycles); that of cycle 7 was used, and its distances"),
    ],
)
def test_an_incomplete_window_is_noted_and_used_only_where_no_complete_one_is(home, unit, cycle, note):
    found = search(home).similar_to(unit, count=3)
    assert found.cycle == cycle
    assert found.notes[0].startswith(note)


def test_a_window_that_occurs_twice_is_not_searched(home):
    with pytest.raises(UsageError, match="each window of twice occurs twice"):
        search(home).similar_to("twice")


@pytest.mark.parametrize(("limit", "is_made"), [(0.95, True), (1.1, False)])
def test_an_index_with_a_low_recall_is_not_made_and_the_former_one_stays(home, monkeypatch, limit, is_made):
    monkeypatch.setattr(nearest, "RECALL_LIMIT", limit)
    blobs = blobs_of(home, "EAST", "turbofan")
    former = blobs.resolve(PAST_FAILURES.ref)
    fewer = past_windows(tables_of(home, "EAST", "turbofan")).filter(pl.col("unit") != UNITS[0])
    asset = failure_index_of(TURBOFAN, EAST, windows=lambda tables: fewer, deps=[])
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([asset], resources=resources_of(home), instance=instance)
        check = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(asset.key, RECALL_CHECK), limit=1
        )[0]
    assert check.event.asset_check_evaluation.passed == is_made
    assert len(done.asset_materializations_for_node(asset.op.name)) == is_made
    assert (blobs.resolve(PAST_FAILURES.ref) != former) == is_made
    blobs.point(PAST_FAILURES.ref, former)
