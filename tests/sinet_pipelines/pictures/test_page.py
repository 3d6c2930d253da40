"""A page: one file that asks nobody for anything, in which words stay words."""

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.escaping import visible
from sinet_pipelines.pictures.page import (
    Command,
    Facts,
    Figures,
    Picture,
    Points,
    Section,
    Table,
    Words,
    to_html,
    to_markdown,
)
from sinet_pipelines.pictures.style import STYLE

FRAME_TAGS = {"html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "div"}
TEXT_TAGS = {"h1", "h2", "p", "ul", "li", "a", "dl", "dt", "dd", "pre", "code", "figure", "img", "figcaption"}
KNOWN_TAGS = FRAME_TAGS | TEXT_TAGS | {"table", "thead", "tbody", "tr", "th", "td"}
EMPTY_TAGS = {"meta", "img"}
READABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


class Read(HTMLParser):
    """What a browser would find: tags, addresses, words; fails where tags do not close in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.addresses, self.words = set(), [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "style", "srcset")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)


def every_block(text):
    return (
        Words(text),
        Words(text, emphasis=True, good=False),
        Points((text, text)),
        Figures({text: text}),
        Facts({text: text}),
        Table((text, "n"), ((text, "1"), (text, "2")), frozenset({1}), frozenset({0})),
        Command(text),
        Picture(b"\x89PNG", text),
    )


@given(text=READABLE)
def test_words_stay_words_whatever_they_are(text):
    found = Read(to_html(text, [Section(text, every_block(text))], subtitle=text))
    assert found.tags <= KNOWN_TAGS
    message, shown = "".join(found.words), visible(" ".join(text.split()))
    assert not shown or message.count(shown) >= 15
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in found.addresses)


def test_a_page_runs_no_script_and_asks_for_nothing():
    page = to_html("T", [Section("S", every_block("<script>alert(1)</script><img src=http://x onerror=y>"))])
    assert "script" not in Read(page).tags
    assert """content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">""" in page
    assert not re.search(r"url\(|@import|@font-face", STYLE)


def test_a_link_leads_to_its_section():
    found = Read(
        page := to_html("T", [Section("Made again", (Words("x"),)), Section("Limits, and more", (Words("y"),))])
    )
    assert found.addresses == ["#made-again", "#limits-and-more"]
    assert all(f'id="{address[1:]}"' in page for address in found.addresses)


def test_light_dark_paper_and_narrow_screens_are_provided_for():
    assert "prefers-color-scheme: dark" in STYLE
    assert "@media print" in STYLE
    assert re.search(r"\.scroll \{ overflow-x: auto", STYLE)
    assert '<div class="scroll"><table>' in to_html("T", [Section("S", (Table(("a",), (("b",),)),))])


def test_colours_are_all_named_for_both_schemes():
    light, dark = re.findall(r":root \{([^}]*)\}", STYLE)[:2]
    names = set(re.findall(r"var\((--[\w-]+)\)", STYLE))
    assert names <= set(re.findall(r"(--[\w-]+):", light))
    assert names <= set(re.findall(r"(--[\w-]+):", dark))


@given(text=READABLE)
def test_a_markdown_table_keeps_its_columns_whatever_its_cells_say(text):
    page_text = to_markdown("T", [Section("S", (Table(("a", "b"), ((text, text),)),))])
    *_, row = page_text.rstrip("\n").split("\n")
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3


def test_markdown_tells_every_block():
    text = to_markdown("A page", [Section("All", every_block("a_b"))])
    assert text.startswith("# A page\n\n## All\n\na\\_b\n\n**a\\_b**\n\n- a\\_b\n- a\\_b\n\n| what | value |")
    assert "| --- | ---: |\n| a\\_b | 1 |\n| a\\_b | 2 |" in text
    assert text.endswith("```\na_b\n```\n\nPicture: a\\_b\n")
