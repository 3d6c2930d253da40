"""Data docs: the library confirms a sample of each day, and words from outside have no effect on its page."""

import os
import re
from datetime import timedelta

import polars as pl
import pytest

from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.validation import data_docs, sample
from sinet_pipelines.validation.data_docs import keep_page, page_of
from sinet_pipelines.validation.judge import judge_days
from sinet_pipelines.validation.sample import ROWS_OF_A_DAY, confirm, sample_of
from tests.sinet_pipelines.validation.test_compiled import CONTRACT, DAY, sound_rows

HOSTILE = "<script>alert(1)</script><img src=x onerror=y> $x ${y} {{ z }} [a](http://e.example) `c`\u202e"


@pytest.fixture(scope="module")
def page():
    rows = sound_rows(30).with_columns(
        state=pl.when(pl.col("sample") < 4).then(pl.lit(HOSTILE)).otherwise("state"), machine=pl.lit(HOSTILE)
    )
    return page_of(confirm(rows, CONTRACT), heading="EAST, <b>rows</b>").decode()


def test_words_from_outside_have_no_effect_on_a_page(page):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    tags = re.findall(r"<[^>]*>", page)
    assert [tag for tag in tags if re.match(r"<(script|img|link|iframe|b)\b", tag) or "onerror" in tag] == []
    assert "\u202e" not in page
    assert "<h1>EAST, &lt;b&gt;rows&lt;/b&gt;</h1>" in page


def test_a_page_loads_nothing_from_elsewhere(page):
    tags = " ".join(re.findall(r"<[^>]*>", page))
    assert re.findall(r"(?:src|href)\s*=\s*[\"']?(?!#)[^\"'\s>]+", tags) == []


def test_a_page_larger_than_the_limit_has_no_values(monkeypatch):
    rows = sound_rows(30).with_columns(state=pl.lit("unheard of"))
    result = confirm(rows, CONTRACT)
    assert b"unheard of" in page_of(result, heading="h")
    monkeypatch.setattr(data_docs, "MOST_BYTES", 100)
    small = page_of(result, heading="h")
    assert b"unheard of" not in small
    assert b"30 unexpected values found" in small


def test_of_a_table_the_newest_pages_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(data_docs, "PAGES_KEPT", 3)
    objects = open_objects(str(tmp_path / "50% of #1"))
    for number in range(5):
        key = keep_page(objects, b"page", application="kiln", table="rows", day=DAY + timedelta(days=number))
        os.utime(tmp_path / "50% of #1" / key, (number, number))
    keep_page(objects, b"again", application="kiln", table="rows", day=DAY + timedelta(days=3))
    names = [one.key.rpartition("/")[2] for one in objects.walk("raw/kiln/data_docs/rows")]
    assert names == [f"2026-03-0{day}.html" for day in (3, 4, 5)]
    assert objects.read("raw/kiln/data_docs/rows/2026-03-04.html") == b"again"


def test_a_sample_has_the_first_bad_and_good_rows_of_each_day():
    other = DAY + timedelta(days=1)
    start = sound_rows(50)
    rows = pl.concat(
        [start, start.with_columns(event_date=pl.lit(other), recorded_at=pl.col("recorded_at").dt.offset_by("1d"))]
    )
    rows = rows.with_columns(state=pl.when(pl.col("sample") < 3).then(pl.lit("broken")).otherwise("state"))
    judged = judge_days(rows.with_columns(row_hash=pl.lit("h"), drop_id=pl.lit("d")), CONTRACT)
    found = sample_of([judged.good], [judged.bad])
    assert found["event_date"].value_counts(sort=True)["count"].to_list() == [ROWS_OF_A_DAY + 3] * 2
    assert found.filter(state="broken").height == 6


def test_a_result_that_the_library_does_not_confirm_fails(monkeypatch):
    found = sample.check_rows
    monkeypatch.setattr(sample, "check_rows", lambda rows, contract: found(rows.head(0), contract))
    with pytest.raises(
        RuntimeError, match="rule 'machine is missing' of validated_samples: the compiled pass and Great"
    ):
        confirm(sound_rows(3), CONTRACT)
