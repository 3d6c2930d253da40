"""The page of a step's sample is in the root of the region, and each day's verdict has its address."""

from datetime import timedelta
from types import SimpleNamespace

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


def paged(region, rows, faults=None):
    from assets.framework.data_docs import with_page

    judged = judge_days(rows, CONTRACT, drop_faults=faults)
    context = SimpleNamespace(resources=SimpleNamespace(east=region))
    verdicts = {verdict.day: verdict for verdict in judged.days}
    return with_page(context, EAST, CONTRACT, verdicts, good=[judged.good], bad=[judged.bad])


def test_the_days_of_a_step_have_one_page_in_the_root_of_their_region(region, tmp_path):
    found = paged(region, sound_rows(5), {DAY + timedelta(days=1): ("drop x has no column load_kw",)})
    below = f"raw/turbofan/data_docs/validated_samples/{DAY}.html"
    served = f"/data_docs/EAST/turbofan/validated_samples/{DAY}.html"
    assert [verdict.page for verdict in found.values()] == [served] * 2
    assert (
        "EAST, validated_samples, 2026-03-01 to 2026-03-02: sample of 5 rows" in (tmp_path / "EAST" / below).read_text()
    )


def test_days_without_rows_have_no_page(region, tmp_path):
    found = paged(region, sound_rows(0), {DAY: ("drop x has no column load_kw",)})
    assert [verdict.page for verdict in found.values()] == [""]
    assert not (tmp_path / "EAST").exists()


def test_a_step_of_another_region_opens_no_pages(region, monkeypatch):
    monkeypatch.setattr("resources.regions.this_step", lambda: SimpleNamespace(region="WEST"))
    with pytest.raises(ResidencyError, match="run the step in EAST"):
        region.pages  # noqa: B018 - the property itself refuses
