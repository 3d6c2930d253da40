"""The model card of a walked home: counts are those of the tables, the experiment has an error, pictures stand."""

import polars as pl
import pytest

from assets.turbofan.evaluation import MODEL
from assets.turbofan.keys import global_key
from sinet_pipelines.applications.turbofan.schemas.telemetry import QUARANTINE, VALIDATED_TELEMETRY
from sinet_pipelines.storage.tables import tables_of
from tests.deployed import CHECKOUT
from tests.inventory import REGIONS


@pytest.fixture
def page(walked):
    _, instance = walked
    return instance.get_latest_materialization_event(global_key("model_card")).asset_materialization.metadata


def test_its_rows_and_engines_are_those_of_the_tables(walked, page):
    home, _ = walked
    tables = [tables_of(home, region.name, "turbofan") for region in REGIONS]
    kept = pl.concat(table.read(VALIDATED_TELEMETRY, columns=["role", "unit"]) for table in tables)
    aside = sum(table.read(QUARANTINE).height for table in tables)
    history, live = (kept.filter(pl.col("role") == role)["unit"].n_unique() for role in ("history", "live"))
    found = page["card"].value
    assert f"| rows | {kept.height:,} validated, {aside:,} set aside |" in found
    assert f"| engines | {history} run to failure, {live} live |" in found


def test_the_first_champion_serves_and_the_experiment_has_an_error_and_is_barred(walked, page):
    _, instance = walked
    found = page["card"].value
    assert "**Promoted: " in found
    verdict = instance.get_latest_materialization_event(global_key("spiking_verdict")).asset_materialization.metadata
    error = verdict["rmse_capped_cycles"].value
    assert f"| spiking | NULL\\_ISLAND | {error:.2f} | barred | may not be promoted: " in found


def test_the_file_holds_the_pictures_that_stages_kept(walked):
    home, _ = walked
    html = (home / "cards" / f"{MODEL}.html").read_text()
    assert html.startswith("<!doctype html>")
    captions = ("Nominal against measured coverage", "Coverage by predicted value", "Error against size and latency")
    for caption in captions:
        assert f"<figcaption>{caption}</figcaption>" in html


def test_a_version_keeps_its_card_in_the_home_and_among_its_artifacts(walked, page):
    home, _ = walked
    newest = (home / "cards" / f"{MODEL}.html").read_bytes()
    assert (home / "cards" / MODEL / f"v{page['version'].value}.html").read_bytes() == newest
    (artifact,) = (home / "mlflow-artifacts").rglob("card.html")
    assert artifact.read_bytes() == newest
    assert {"model.onnx", "MLmodel", "requirements.txt", "card.md"} <= {path.name for path in artifact.parent.iterdir()}


def test_run_version_and_card_name_the_commit_and_the_state_of_its_tree(walked, page):
    from sinet_pipelines.registry.origin import origin_of
    from sinet_pipelines.registry.tracking import tracking_of
    from sinet_pipelines.registry.versions import list_versions

    home, _ = walked
    origin = origin_of(CHECKOUT)
    versions = list_versions(tracking_of(home), MODEL)
    assert all(origin.tags.items() <= version.tags.items() for version in versions)
    assert all(
        origin.tags.items() <= tracking_of(home).client.get_run(version.run_id).data.tags.items()
        for version in versions
    )
    assert f"| commit | {origin.commit} |" in page["card"].value
