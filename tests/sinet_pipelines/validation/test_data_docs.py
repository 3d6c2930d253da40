"""Data docs: the library confirms a sample of each day, and words from outside have no effect on its page."""

import os
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.validation import data_docs, sample
from sinet_pipelines.validation.data_docs import keep_page, page_of, remove_old_pages, remove_pages_of
from sinet_pipelines.validation.judge import judge_days
from sinet_pipelines.validation.sample import IS_GOOD, ROWS_OF_A_DAY, confirm, sample_of
from tests.sinet_pipelines.validation.test_compiled import CONTRACT, DAY, random_rows, sound_rows

HOSTILE = {  # each shorter than the longest text that is shown, and as a browser has to receive it
    "<script>alert(1)</script>": "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<img src=x onerror=y>": "&lt;img src=x onerror=y&gt;",
    "\u202eonerror x": "\\u202eonerror x",
    "$x ${y} $$": "&#36;x &#36;{y} &#36;&#36;",
    "{{ z }} {% z %}": "{{ z }} {% z %}",
    "[a](http://e.example) `c`": "[a](http://e.example) `c`",
}


@pytest.fixture(scope="module")
def page():
    rows = sound_rows(30).with_columns(
        state=pl.Series([list(HOSTILE)[row % len(HOSTILE)] for row in range(30)]), machine=pl.lit("<b>$m</b>")
    )
    return page_of(confirm(marked(rows), CONTRACT).result, heading="EAST, <b>rows</b>").decode()


def test_words_from_outside_have_no_effect_on_a_page(page):
    assert [shown for shown in HOSTILE.values() if shown not in page] == []
    tags = re.findall(r"<[^>]*>", page)
    assert [tag for tag in tags if re.match(r"<(script|img|link|iframe|b)\b", tag) or "onerror" in tag] == []
    assert "\u202e" not in page
    assert "<h1>EAST, &lt;b&gt;rows&lt;/b&gt;</h1>" in page


def test_a_page_shows_values_of_every_kind():
    rows = pl.concat(random_rows(seed, rows=60) for seed in range(6))
    confirmed = confirm(marked(rows, good=False), CONTRACT)
    assert confirmed.differences == ()
    assert confirmed.result.statistics["successful_expectations"] == 0
    page = page_of(confirmed.result, heading="h", days=[DAY]).decode()
    assert [one for one in ("2026-03-10", "inf", "{&quot;load_kw&quot;", "Infinity") if one not in page] == []
    assert "<script" not in page


def test_a_page_loads_nothing_from_elsewhere(page):
    tags = " ".join(re.findall(r"<[^>]*>", page))
    assert re.findall(r"(?:src|href)\s*=\s*[\"']?(?!#)[^\"'\s>]+", tags) == []


def test_a_page_larger_than_the_limit_has_no_values(monkeypatch):
    rows = sound_rows(30).with_columns(state=pl.lit("unheard of"))
    result = confirm(marked(rows), CONTRACT).result
    assert b"unheard of" in page_of(result, heading="h")
    monkeypatch.setattr(data_docs, "MOST_BYTES", 100)
    small = page_of(result, heading="h")
    assert b"unheard of" not in small
    assert b"30 unexpected values found" in small


NOW = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.fixture
def pages(tmp_path):
    """The pages of a table, with a function that writes one as it was some days ago."""
    root = tmp_path / "50% of #1"
    objects = open_objects(str(root))

    def keep(*days, ago=0, text="page", suffix="html"):
        content = f'<meta name="days" content="{" ".join(map(str, days))}">{text}'.encode()
        key = keep_page(objects, content, application="kiln", table="rows", days=days, suffix=suffix)
        at = (NOW - timedelta(days=ago)).timestamp()
        os.utime(root / key, (at, at))
        return key

    def names():
        return sorted(one.key for one in objects.walk("raw/kiln/data_docs/rows"))

    return SimpleNamespace(objects=objects, folder=root / "raw/kiln/data_docs/rows", keep=keep, names=names)


def clean(pages, *needed):
    remove_old_pages(pages.objects, application="kiln", table="rows", needed=needed, now=NOW)


def test_what_a_link_leads_to_never_changes(pages):
    first, other = pages.keep(DAY), pages.keep(DAY, text="made again")
    assert first != other
    assert pages.objects.read(first).endswith(b"page")


def test_a_page_goes_an_hour_after_another_of_its_days_replaced_it(pages):
    old, recent, newest = pages.keep(DAY, ago=2), pages.keep(DAY, ago=0.01, text="b"), pages.keep(DAY, text="c")
    others = [pages.keep(DAY, DAY + timedelta(days=1), ago=2), pages.keep(DAY + timedelta(days=1), ago=2)]
    clean(pages)
    assert pages.names() == sorted([recent, newest, *others])
    assert old not in pages.names()


def test_of_a_table_the_newest_pages_are_kept_and_those_of_days_that_fail(pages, monkeypatch):
    monkeypatch.setattr(data_docs, "PAGES_KEPT", 2)
    keys = [pages.keep(DAY + timedelta(days=ago), ago=ago) for ago in range(5)]
    clean(pages, keys[4].rpartition("/")[2])
    assert pages.names() == sorted([keys[0], keys[1], keys[4]])


def test_pages_with_rows_of_a_withdrawn_day_go(pages):
    next_day, last_day = DAY + timedelta(days=1), DAY + timedelta(days=2)
    pages.keep(DAY, next_day, last_day)
    pages.keep(DAY, next_day, last_day, suffix="parquet")
    others = [pages.keep(DAY, last_day), pages.keep(DAY)]
    remove_pages_of(pages.objects, [next_day], application="kiln", table="rows")
    assert pages.names() == sorted(others)


def test_what_a_killed_writer_left_goes_and_files_of_others_stay(pages):
    name = pages.keep(DAY).rpartition("/")[2]
    for left, ago in ((f".{name}.0a1b2c3d", 2), (f".{name}.00000000", 0), (".mine", 2), ("mine.html", 2)):
        (pages.folder / left).write_bytes(b"half")
        at = (NOW - timedelta(days=ago)).timestamp()
        os.utime(pages.folder / left, (at, at))
    clean(pages)
    assert sorted(path.name for path in pages.folder.iterdir()) == sorted(
        [f".{name}.00000000", ".mine", "mine.html", name]
    )


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


def marked(rows, *, good=True):
    return rows.with_columns(pl.lit(good).alias(IS_GOOD))


def test_a_result_that_the_library_does_not_confirm_is_a_difference(monkeypatch):
    found = sample.check_rows
    monkeypatch.setattr(sample, "check_rows", lambda rows, contract: found(rows.head(0), contract))
    differences = confirm(marked(sound_rows(3)), CONTRACT).differences
    assert differences[0] == (
        "rule 'machine is missing': the compiled pass and Great Expectations differ in element_count"
    )


def test_a_good_row_that_the_library_finds_broken_is_a_difference_with_its_day_and_row():
    rows = sound_rows(4).with_columns(load_kw=pl.Series([1.0, 1.0, 500.0, 1.0]))
    sampled = sample_of([rows], [rows.head(0).with_columns(reason=pl.lit(""))])
    assert confirm(sampled, CONTRACT).differences == (
        "rule 'load_kw is outside 0 to 100 kW': Great Expectations finds rows broken that were found good "
        "(2026-03-01: rows 2 of 4)",
    )
    assert confirm(marked(rows, good=False), CONTRACT).differences == ()
