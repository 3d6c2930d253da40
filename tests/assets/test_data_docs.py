"""The page of a step's sample is in the root of the region, and each day's verdict has its address."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from sinet_pipelines.errors import ResidencyError
from sinet_pipelines.validation.judge import judge_days
from tests.inventory import EAST
from tests.sinet_pipelines.validation.test_compiled import CONTRACT, DAY, sound_rows


@pytest.fixture
def region(tmp_path):
    from resources.regions import RegionResource

    return RegionResource(
        name="EAST", role="", hardware="", home=str(tmp_path), regions=["EAST"], application="turbofan"
    )


def paged(region, rows, faults=None, *, is_one_machine=True, good=None):
    from assets.framework.data_docs import with_page

    judged = judge_days(rows, CONTRACT, drop_faults=faults)
    resources = SimpleNamespace(east=region, deployment=SimpleNamespace(is_one_machine=is_one_machine))
    verdicts = {verdict.day: verdict for verdict in judged.days}
    good = [judged.good] if good is None else [good]
    return with_page(SimpleNamespace(resources=resources), EAST, CONTRACT, verdicts, good=good, bad=[judged.bad])


def test_the_days_with_rows_have_one_page_in_the_root_of_their_region(region, tmp_path):
    found = paged(region, sound_rows(5), {DAY + timedelta(days=1): ("drop x has no column load_kw",)})
    folder = tmp_path / "EAST/raw/turbofan/data_docs/validated_samples"
    (page,) = folder.iterdir()
    served = f"/data_docs/EAST/turbofan/validated_samples/{page.name}"
    assert [verdict.page for verdict in found.values()] == [served, ""]
    assert page.name.startswith("2026-03-01_2026-03-01_")
    assert "EAST, validated_samples, 2026-03-01: sample of 5 rows" in page.read_text()


def test_in_a_cluster_a_days_result_has_the_place_of_the_page(region, tmp_path):
    (verdict,) = paged(region, sound_rows(5), is_one_machine=False).values()
    place = Path(verdict.page)
    assert place.parent == tmp_path / "EAST/raw/turbofan/data_docs/validated_samples"
    assert place.is_file()


def test_a_good_row_that_breaks_a_rule_fails_the_step_which_keeps_the_rows(region, tmp_path):
    rows = sound_rows(3)
    with pytest.raises(RuntimeError, match="2026-03-01: rows 0, 1, 2 of 3.*report it as a defect with the rows in"):
        paged(region, rows, good=rows.with_columns(load_kw=500.0))
    folder = tmp_path / "EAST/raw/turbofan/data_docs/validated_samples"
    (kept,) = folder.glob("*.parquet")
    assert pl.read_parquet(kept, glob=False)["load_kw"].to_list() == [500.0] * 3
    assert len(list(folder.glob("*.html"))) == 1


def removing(region, monkeypatch, *, failing=None):
    from assets.framework import data_docs

    link = {} if failing is None else {DAY: SimpleNamespace(metadata={"data_docs": SimpleNamespace(value=failing)})}
    monkeypatch.setattr(data_docs, "refusals", lambda instance, key, check: link)
    context = SimpleNamespace(resources=SimpleNamespace(east=region), instance=None, asset_key=None)
    return data_docs, context


def test_the_page_of_a_day_that_fails_is_kept_and_goes_with_its_drops(region, tmp_path, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.validation.data_docs.PAGES_KEPT", 0)
    (verdict,) = paged(region, sound_rows(5)).values()
    folder = tmp_path / "EAST/raw/turbofan/data_docs/validated_samples"
    data_docs, context = removing(region, monkeypatch, failing=verdict.page)
    data_docs.remove_old_pages(context, EAST, CONTRACT)
    assert len(list(folder.iterdir())) == 1
    data_docs.remove_withdrawn_pages(context, EAST, CONTRACT, [DAY])
    assert list(folder.iterdir()) == []


def test_days_without_rows_have_no_page(region, tmp_path):
    found = paged(region, sound_rows(0), {DAY: ("drop x has no column load_kw",)})
    assert [verdict.page for verdict in found.values()] == [""]
    assert not (tmp_path / "EAST").exists()


def test_a_step_of_another_region_opens_no_pages(region, monkeypatch):
    monkeypatch.setattr("resources.regions.this_step", lambda: SimpleNamespace(region="WEST"))
    with pytest.raises(ResidencyError, match="run the step in EAST"):
        region.pages  # noqa: B018 - the property itself refuses
