"""Words: the glossary's terms are used, and no page or help text has a word that only this project's authors know."""

import ast
import re

import pytest
import typer

from tests.conftest import CHECKOUT

GLOSSARY = CHECKOUT / "docs" / "glossary.md"
TERM = re.compile(r"^\| (?!term )([a-z][^|]*?) \| [^|]+ \|$", re.MULTILINE)
PRODUCT = ("assets", "resources", "schedules", "sinet_pipelines")
PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "docs").rglob("*.md"))
)
#: What each word stands for, in the words of the glossary.
PRIVATE = {
    r"(this|the|our) house|house's": "the platform",
    r"halls?": "package",
    r"desk": "command line",
    r"yardsticks?": "baseline",
    r"the books": "staleness, or the row account",
    r"walks? over": "runs",
    r"keeps? (its|their) contract": "satisfies its contract",
    r"what (its|their) inputs say": "up to date",
    r"the watch(?! API)": "monitoring",
    r"fellows": "the files beside it",
    r"longer than a coffee": "takes minutes",
    r"with a word|in the words of|says? so": "with a message",
    r"tells?": "shows, returns",
    r"knows it beforehand": "estimated",
    r"(is|are|was|were) told (of|that|to|in|apart)": "receives, or is shown",
}
LINK = re.compile(r"\]\([^)]*\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`|^ {4,}.*$", re.DOTALL | re.MULTILINE)


def plain(text):
    """Prose on one line each: code and identifiers, which others own, are left out."""
    return re.sub(r"\s+", " ", CODE.sub(" ", LINK.sub("]", text)))


def private_words(text):
    """Each private word of a text with what to write in its place."""
    return {
        found.group(): cure
        for word, cure in PRIVATE.items()
        for found in re.finditer(rf"\b({word})\b", plain(text), re.IGNORECASE)
    }


def terms():
    return TERM.findall(GLOSSARY.read_text())


def help_texts():
    """The help of every command, its options and arguments, by the words that call it."""
    from sinet_pipelines.cli.main import app

    def collect(command, words):
        texts = [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
        yield " ".join(words), "\n".join(texts)
        for name, sub in getattr(command, "commands", {}).items():
            yield from collect(sub, [*words, name])

    return dict(collect(typer.main.get_command(app), ["sinet"]))


def test_the_glossary_has_each_term_once_and_every_term_is_used():
    found = terms()
    assert len(found) > 40
    assert len(found) == len(set(found))
    text = " ".join((CHECKOUT / page).read_text() for page in PAGES if not page.endswith("glossary.md"))
    text = re.sub(r"\s+", " ", text + " ".join(help_texts().values())).lower()
    unused = [term for term in found if not re.search(rf"\b{re.escape(term)}s?\b", text)]
    assert unused == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_private_word(page):
    assert private_words((CHECKOUT / page).read_text()) == {}


@pytest.mark.parametrize("name", ["pyproject.toml", "Makefile", "dagster.yaml", ".ci/run"])
def test_no_configuration_has_a_private_word(name):
    assert private_words((CHECKOUT / name).read_text()) == {}


def test_no_help_text_has_a_private_word():
    texts = help_texts()
    assert len(texts) > 10
    assert {name: found for name, text in texts.items() if (found := private_words(text))} == {}


IMAGES = re.compile(r"\b(desk|yardsticks?|(of|this|the|our) house|what (its|their) inputs say)\b", re.IGNORECASE)


def test_no_product_file_has_a_private_image():
    files = [path for folder in PRODUCT for path in (CHECKOUT / folder).rglob("*.py")]
    assert len(files) > 200
    found = {
        path.relative_to(CHECKOUT).as_posix(): match.group()
        for path in files
        if (match := IMAGES.search(path.read_text()))
    }
    assert found == {}


def test_private_words_are_found_in_prose_and_not_in_identifiers():
    text = "What the desk\nis asked. `every_day_keeps_its_contract` of `the hall`\n\n    the desk = 1\n"
    assert private_words(text) == {"desk": "command line"}


def test_readme_says_first_what_it_is_for_whom_and_shows_the_graph():
    first = (CHECKOUT / "README.md").read_text().splitlines()[:10]
    assert any("docs/pictures/lineage.png" in line for line in first)
    assert any("engineers" in line for line in first)


def test_readme_and_the_documentation_lead_to_the_glossary():
    for page in ("README.md", "docs/operating.md"):
        assert "glossary.md" in (CHECKOUT / page).read_text(), page


SPOKEN = re.compile(
    r"(^|_)(said|says?|told|tells|asks?|asked|asking|hears?|heard|knows|news|halls?|house|desk)(_|$)", re.I
)


@pytest.mark.parametrize("package", ["assets", "benchmarks", "resources", "schedules", "sinet_pipelines"])
def test_no_name_takes_a_program_for_a_person_who_talks(package):
    """Data is read, computed, returned and requested; the names of functions, arguments and variables show it."""
    spoken = {
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path in sorted((CHECKOUT / package).rglob("*.py"))
        for name in names_in(path.read_text())
        if SPOKEN.search(name)
    }
    assert not spoken


def names_in(source):
    """Every name that a module binds: of functions, classes, arguments and variables."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
