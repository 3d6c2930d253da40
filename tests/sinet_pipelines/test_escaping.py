"""Words from outside do nothing where they are shown, and are shown as they are spelled."""

import ast
import html
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.markdown import shown
from sinet_pipelines.escaping import for_html, for_markdown, for_terminal, from_markdown, visible
from sinet_pipelines.markdown import code, code_block, points, table, together, words

ROOT = Path(__file__).parents[2]
PARTS = ("assets", "resources", "schedules", "sinet_pipelines")
TEXTS = st.text(st.characters(codec=None) | st.sampled_from("\\`*_[]<>|#~&!-+=.)@:/\x1b\u202e\n "), max_size=40)


@given(text=TEXTS)
def test_a_terminal_gets_one_line_of_printable_characters(text):
    assert not {unicodedata.category(one) for one in for_terminal(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for_terminal(text).encode()


@given(text=TEXTS)
def test_html_is_text_alone(text):
    escaped = for_html(text)
    assert not set(escaped) & set("<>\"'")
    assert html.unescape(escaped) == visible(" ".join(text.split()))


@given(text=TEXTS)
def test_markdown_keeps_the_words_and_escapes_every_sign(text):
    escaped = for_markdown(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped).replace("\u2060", "") == visible(" ".join(text.split()))
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|~&]", escaped)
    assert not re.match(r"\d+[.)]( |$)|[-+=#](?!\.?\d)", escaped)


@given(text=TEXTS)
def test_escaped_markdown_is_read_back_as_the_words(text):
    assert from_markdown(for_markdown(text)) == visible(" ".join(text.split())).replace("\u2060", "")


@pytest.mark.parametrize("link", ["http://e.example", "HTTPS://e.example", "www.e.example", "a@e.example"])
def test_markdown_makes_no_link_by_itself(link):
    assert "\u2060" in for_markdown(link)
    assert not re.search(r"(?i)https?:|www\.|@e", for_markdown(link))


@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_lists_and_tables_keep_their_shape_whatever_they_hold(texts):
    assert len(points(texts).splitlines()) == len(texts)
    lines = table(["name"] * len(texts), [texts, texts]).splitlines()
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines] == [len(texts) + 1] * 4


@given(text=TEXTS)
def test_code_ends_where_it_should(text):
    assert "\n" not in code(text)
    block = code_block([text, "last"]).splitlines()
    assert len(block) == 4
    assert block[0] == block[-1]
    assert set(block[0]) == {"`"}
    assert block[0] not in block[1]


def test_what_is_markdown_already_is_not_escaped_again():
    assert together(code("sinet ui"), words("*")) == "`sinet ui`\n\n\\*"
    assert words(words("*")) == "\\*"


def test_plain_text_is_refused_as_metadata():
    with pytest.raises(TypeError, match="str is not Markdown; build it with"):
        shown("![x](/graphql)")
    assert shown(points(["![x](/graphql)"])).value == "- !\\[x\\](/graphql)"


def _calls(folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT).as_posix(), node


@pytest.mark.slow
def test_one_module_makes_markdown_metadata():
    names = {"md", "MarkdownMetadataValue"}
    found = {path for path, call in _calls(PARTS) if getattr(call.func, "attr", getattr(call.func, "id", "")) in names}
    assert found == {"resources/markdown.py"}


def test_markdown_is_built_by_builders_alone():
    """Elsewhere `Markdown(...)` joins what is markdown already: each such line is looked at when this list grows."""
    found = {path for path, call in _calls(PARTS) if getattr(call.func, "id", "") == "Markdown"}
    builders = {"canvas", "page", "sparkline"}
    assert found == {
        "sinet_pipelines/markdown.py",
        *(f"sinet_pipelines/pictures/{name}.py" for name in builders),
        "assets/framework/binding.py",
        "assets/framework/lineage.py",
        "assets/milling/cards.py",
    }


def test_html_is_escaped_in_one_place():
    found = {path for path, call in _calls(PARTS) if ast.unparse(call.func) in ("html.escape", "escape")}
    assert found == {"sinet_pipelines/escaping.py"}


def test_commands_print_fixed_words_or_escaped_ones():
    bare = [
        f"{path}:{call.lineno}"
        for path, call in _calls(["sinet_pipelines/cli"])
        if isinstance(call.func, ast.Name)
        and call.func.id == "print"
        and not isinstance(call.args[0], ast.Constant)
        and ast.unparse(call.args[0]).split("(")[0] != "for_terminal"
    ]
    assert bare == []


def test_commands_have_one_terminal():
    found = {path for path, call in _calls(["sinet_pipelines/cli"]) if getattr(call.func, "id", "") == "Console"}
    assert found == {"sinet_pipelines/cli/benchmark.py"}  # its progress bar, without words from outside
