"""A model's card: every fact is on it, in words and on the page; what is not known yet is said to be so."""

import html
import re
from dataclasses import fields, is_dataclass, replace

import pytest

from sinet_pipelines.pictures.canvas import data_uri
from sinet_pipelines.pictures.charts import error_against_truth
from sinet_pipelines.registry.card import CAPTIONS, card_html, card_markdown
from tests.sinet_pipelines.registry.cards import SHA256, some_card

SECTIONS = [
    "At a glance",
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Training and evaluation data",
    "Candidates",
    "Quantitative analyses",
    "Intervals",
    "Quantization",
    "Experiments",
    "Ethical considerations",
    "Limits and recommendations",
    "Reproduction",
]


def words_of(value):
    """Every text among the facts."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for one in fields(value):
            yield from words_of(getattr(value, one.name))
    elif isinstance(value, tuple):
        for one in value:
            yield from words_of(one)
    elif isinstance(value, dict):
        yield from (word for word in (*value.keys(), *value.values()) if isinstance(word, str))


def plain(markdown):
    return re.sub(r"\\(.)", r"\1", markdown)


@pytest.fixture
def card():
    return some_card()


def test_every_word_of_the_facts_is_on_the_page_and_in_the_markdown(card):
    page, text = html.unescape(card_html(card)), plain(card_markdown(card))
    inner = {"cut", "all", "region", "origin"}
    missing = [word for word in words_of(card) if word not in inner and word not in page]
    assert missing == []
    only_page = {card.application, card.versions.made_at}  # the page's line under its title
    assert [word for word in words_of(card) if word not in inner | only_page and word not in text] == []


def test_sections_are_those_of_mitchell_with_ours_beside_them(card):
    assert re.findall(r"^## (.+)$", card_markdown(card), re.M) == SECTIONS
    assert re.findall(r"<h2>(.+?)</h2>", card_html(card)) == SECTIONS


def test_numbers_are_shown_with_their_units_and_bands(card):
    text = card_markdown(card)
    assert "| RMSE, model | 11.42 cycles |" in text
    assert "| blend | 12.31 | chosen | least error out of fold |" in text
    assert "| region: EAST | 40 | 88 | 11.05 | 16.10 | 37.90 |" in text
    assert "| live | 91 of 100 | 91.0 % | 84 to 95 | yes |" in text
    assert "| live, EAST | 24 of 33 | 72.7 % | 26 to 33 | no |" in text
    assert "| convolution INT8 | 12.11 | 79 kB | 0.17 | lost |" in text
    assert f"| SHA-256 | {SHA256} |" in text


def test_the_coverage_of_a_region_without_truth_is_neither_passed_nor_failed(card):
    assert "| live, WEST | 0 of 0 | no truth yet | 0 to 0 | no truth yet |" in card_markdown(card)


def test_the_decision_comes_first_in_words_and_not_by_colour_alone(card):
    assert '<p class="good">Promoted: not worse' in card_html(card)
    refused = replace(card, decision=replace(card.decision, promoted=False, reason="clearly worse"))
    assert '<p class="bad">Not promoted: clearly worse' in card_html(refused)
    assert "**The gate has not decided yet.**" in card_markdown(replace(card, decision=None))


def test_a_simulated_fleet_is_marked_before_any_figure(card):
    text = card_markdown(replace(card, data=replace(card.data, simulated=True)))
    assert text.index("Simulated: no row is of a real engine") < text.index("11.42 cycles")
    assert "Simulated" not in card_markdown(card)


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ({"intervals": None}, "The model has no intervals."),
        ({"artefacts": ()}, "No model was quantized yet."),
        ({"experiments": ()}, "There are no experiments."),
        ({"slices": ()}, "Not evaluated yet."),
        ({"candidates": ()}, "No candidates were compared."),
    ],
)
def test_missing_facts_are_marked(card, without, expected):
    assert expected in card_markdown(replace(card, **without))
    assert expected in card_html(replace(card, **without))


def test_a_picture_stands_in_its_section_and_an_unknown_one_after_the_analyses(card):
    pictures = {
        name: error_against_truth([1.0, 2.0], [2.0, place], title=name)
        for place, name in enumerate([*CAPTIONS, "something_else"])
    }
    page = card_html(card, pictures)
    parts = dict(re.findall(r"<h2>(.+?)</h2>(.*?)</section>", page, re.S))
    for name, (section, caption) in CAPTIONS.items():
        assert data_uri(pictures[name]) in parts[section]
        assert f"<figcaption>{caption}</figcaption>" in parts[section]
    assert "<figcaption>something else</figcaption>" in parts["Quantitative analyses"]
    assert page.count("<img ") == len(pictures)


def test_texts_of_facts_are_escaped(card):
    evil = "<script>alert(1)</script>"
    page = card_html(replace(card, name=evil, limits=(evil,), reproduce=evil))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4  # title of the window, title of the page, limit, command


def test_equal_facts_make_equal_cards(card):
    assert card_html(card) == card_html(some_card())
