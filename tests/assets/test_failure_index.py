"""The index of past failures as an asset, and the query of a notebook and of `sinet predict --similar`."""

import json
import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

import sinet_pipelines
from assets.framework.nearest import _measured, put_sound
from assets.turbofan.keys import regional_key
from resources.writes import recorded_writes
from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.past_failures import EMBEDDING, PAST_FAILURES, past_windows
from sinet_pipelines.applications.turbofan.schemas.events import FAILURE_EVENTS
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES
from sinet_pipelines.cli.predict_similar import print_similar, similar_to
from sinet_pipelines.errors import UsageError
from sinet_pipelines.features.nearest import from_bytes
from sinet_pipelines.storage.blobs import blobs_of
from sinet_pipelines.storage.tables import tables_of
from tests.inventory import EAST, NAMES


def units_of(home, role):
    rows = sinet_pipelines.open(home).table("turbofan", "window_features").scan()
    return sorted(rows.filter(pl.col("role") == role).select("unit").unique().collect()["unit"])


@pytest.fixture
def own(walked, tmp_path):
    """A copy of the walked home that may be changed."""
    home = tmp_path / "my plant #2"
    shutil.copytree(walked[0], home, symlinks=True)
    return home


def index_file(home, region="EAST"):
    blobs = blobs_of(home, region, "turbofan")
    return blobs.path(blobs.resolve(PAST_FAILURES.ref))


def by_hand(home, unit, count):
    """The nearest past failures by comparison with every fifth window of all regions."""
    opened = sinet_pipelines.open(home)
    windows = opened.table("turbofan", "window_features").to_polars().filter(pl.col("unit") == unit)
    query = windows.sort("cycle").tail(1).select(EMBEDDING.columns).to_numpy() / EMBEDDING.scales
    parts = [past_windows(tables_of(home, region, "turbofan")) for region in NAMES]
    rows = pl.concat(parts).filter(pl.col("cycles_to_failure") % 5 == 0, pl.col("unit") != unit)
    distance = np.linalg.norm(rows.select(EMBEDDING.columns).to_numpy() / EMBEDDING.scales - query, axis=1)
    nearest = rows.with_columns(distance=distance).sort("distance").unique("unit", keep="first", maintain_order=True)
    return nearest.head(count).select("unit", "cycles_to_failure", "distance")


def test_each_region_has_an_index_that_finds_what_an_exact_search_finds(walked):
    home, instance = walked
    event = instance.get_latest_materialization_event(regional_key(EAST, "failure_index"))
    facts = {name: entry.value for name, entry in event.asset_materialization.metadata.items()}
    assert facts["recall_at_10"] >= 0.95
    assert facts["vectors"] > facts["failures"] > 0
    assert facts["query_ms"] > 0
    assert facts["embedding"] == EMBEDDING.version
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(regional_key(EAST, "failure_index"), "finds_what_an_exact_search_finds"), limit=1
    )
    assert history[0].event.asset_check_evaluation.passed


def test_the_index_is_recorded_so_that_its_loss_makes_it_stale(walked, own):
    event = walked[1].get_latest_materialization_event(regional_key(EAST, "failure_index"))
    writes = recorded_writes(event.asset_materialization.metadata["kept"].value)
    assert list(writes.faults(own)) == []
    index_file(own).unlink()
    (fault,) = writes.faults(own)
    assert fault.message.startswith(f"{index_file(own)}: the blob is missing")


def test_the_most_similar_failures_are_those_of_a_comparison_by_hand(walked):
    unit = units_of(walked[0], "live")[1]  # the first one has fewer than 30 cycles, which is a note
    found = sinet_pipelines.open(walked[0]).similar_failures("turbofan", unit)
    expected = by_hand(walked[0], unit, 10)
    assert found.notes == ()
    assert found.rows["unit"].to_list() == expected["unit"].to_list()
    assert found.rows["cycles_to_failure"].to_list() == expected["cycles_to_failure"].to_list()
    np.testing.assert_allclose(found.rows["distance"], expected["distance"], rtol=1e-4)
    assert found.to_pandas().columns.tolist() == ["unit", "region", "cycles_to_failure", "distance"]


def test_a_failed_engine_is_not_similar_to_itself(walked):
    unit = units_of(walked[0], "history")[0]
    assert unit not in sinet_pipelines.open(walked[0]).similar_failures("turbofan", unit).rows["unit"]


def test_fewer_failures_than_requested_are_reported(walked):
    unit = units_of(walked[0], "live")[1]
    found = sinet_pipelines.open(walked[0]).similar_failures("turbofan", unit, count=1000)
    assert found.notes == (f"{found.rows.height} past failures with complete windows are known (requested: 1000)",)


@pytest.mark.parametrize("harm", ["missing", "damaged", "absent"])
def test_without_a_sound_index_all_windows_are_compared_and_it_is_reported(own, harm):
    unit = units_of(own, "live")[1]
    before = sinet_pipelines.open(own).similar_failures("turbofan", unit)
    file = index_file(own)
    if harm == "missing":
        file.unlink()
    elif harm == "damaged":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    else:
        shutil.rmtree(Path(blobs_of(own, "EAST").place) / "refs" / "turbofan" / "failure_index")
    found = sinet_pipelines.open(own).similar_failures("turbofan", unit)
    (note,) = found.notes
    assert "EAST" in note
    assert "were compared one by one instead" in note
    assert found.rows.drop("distance").equals(before.rows.drop("distance"))
    np.testing.assert_allclose(found.rows["distance"], before.rows["distance"], rtol=1e-4)


def test_an_index_of_another_standard_is_not_used(own):
    store = tables_of(own, "EAST", "turbofan")
    rows = store.read(WINDOW_FEATURES).with_columns(regimes_version=pl.lit("another"))
    store.replace_days(WINDOW_FEATURES, rows, days=rows["event_date"].unique().to_list())
    unit = next(one for one in units_of(own, "live") if one in rows["unit"])
    found = sinet_pipelines.open(own).similar_failures("turbofan", unit)
    assert any("the index of EAST was made with another regimes_version" in note for note in found.notes)
    assert set(found.rows["region"]) == {"EAST"}


def test_the_name_of_a_unit_without_a_window_is_refused(walked):
    with pytest.raises(UsageError, match=r"'nobody' has no window in window_features of any region \(there: "):
        sinet_pipelines.open(walked[0]).similar_failures("turbofan", "nobody")


def test_a_window_without_a_number_is_refused(own):
    unit = units_of(own, "live")[0]
    region = sinet_pipelines.open(own).similar_failures("turbofan", unit).region
    store = tables_of(own, region, "turbofan")
    rows = store.read(WINDOW_FEATURES)
    day = rows.filter(pl.col("unit") == unit).sort("cycle")["event_date"][-1]
    nothing = pl.lit(float("nan"), pl.Float32).alias(EMBEDDING.columns[0])
    store.replace_days(WINDOW_FEATURES, rows.filter(pl.col("event_date") == day).with_columns(nothing), days=[day])
    with pytest.raises(UsageError, match=rf"newest window of {unit} .* has no number for {EMBEDDING.columns[0]};"):
        sinet_pipelines.open(own).similar_failures("turbofan", unit)


def test_an_application_without_past_failures_is_refused(walked):
    with pytest.raises(UsageError, match="milling declares no past failures"):
        sinet_pipelines.open(walked[0]).similar_failures("milling", "M1")


def test_windows_without_a_number_are_left_out_and_counted(walked):
    rows = past_windows(tables_of(walked[0], "EAST", "turbofan"))
    broken = rows.with_columns(
        pl.when(pl.col("cycle") == rows["cycle"][0])
        .then(None)
        .otherwise(rows[EMBEDDING.columns[0]])
        .alias(EMBEDDING.columns[0])
    )
    _, facts = _measured(PAST_FAILURES, broken)
    assert facts["left_out"] == int((rows["cycle"] == rows["cycle"][0]).sum()) > 0


def test_a_region_without_failures_has_an_index_without_vectors(walked):
    rows = past_windows(tables_of(walked[0], "EAST", "turbofan")).clear()
    index, facts = _measured(PAST_FAILURES, rows)
    assert (facts["vectors"], facts["failures"], facts["recall_at_10"]) == (0, 0, None)
    assert index.rows.is_empty()


def test_a_damaged_index_is_replaced_when_it_is_made_again(own):
    file, blobs = index_file(own), blobs_of(own, "EAST", "turbofan")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    assert put_sound(blobs, content) == file.name
    assert from_bytes(blobs.get(file.name))[1]["failures"] > 0


def test_the_command_prints_each_unit_once_with_its_failures(walked, capsys):
    units = units_of(walked[0], "live")[:2]
    answer = similar_to(walked[0], TURBOFAN, units)
    assert json.loads(json.dumps(answer)) == answer
    assert [one["unit"] for one in answer] == units
    assert all(len(one["failures"]) == 10 for one in answer)
    print_similar(answer, noun="engine")
    printed = capsys.readouterr().out
    assert f"past failures most similar to {units[0]} at cycle" in printed
    assert answer[1]["failures"][0]["unit"] in printed


def test_a_unit_without_a_window_is_noted_and_the_others_are_searched(walked, capsys):
    unit = units_of(walked[0], "live")[0]
    answer = similar_to(walked[0], TURBOFAN, ["nobody", unit])
    assert [len(one["failures"]) for one in answer] == [0, 10]
    print_similar(answer, noun="engine")
    printed = capsys.readouterr()
    assert "sinet: 'nobody' has no window in window_features" in printed.err
    assert "similar to nobody" not in printed.out


def test_failures_are_the_events_of_the_region(walked):
    store = tables_of(walked[0], "EAST", "turbofan")
    found = set(past_windows(store)["unit"])
    assert found
    assert found <= set(store.read(FAILURE_EVENTS)["unit"])
