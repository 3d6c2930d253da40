"""README and docs tell the truth: commands, options, make targets, links and paths that they name are there."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from sinet_pipelines.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?<![\w/.])(?:\.venv/bin/)?sinet (?P<words>[a-z][a-z ]*)(?P<rest>[^`|\n]*)")
LARGEST_PICTURE_BYTES = 250_000
LONGEST_PAGE = 120
PACKAGES = ("assets", "benchmarks", "resources", "schedules", "sinet_pipelines")


def named(page, pattern):
    return [(match, page.name) for match in re.finditer(pattern, page.read_text())]


@pytest.fixture(scope="module")
def commands():
    """The options of every command, by its words."""
    return dict(_flat(typer.main.get_command(app)))


def _flat(group, words=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _flat(command, (*words, name))
        else:
            yield (*words, name), {option for parameter in command.params for option in parameter.opts}


def find_command(match, commands):
    words = tuple(match["words"].split())
    return next((words[:length] for length in (2, 1) if words[:length] in commands), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page, commands):
    spelled = [match for match, _ in named(page, COMMAND)]
    unknown = [match[0] for match in spelled if find_command(match, commands) is None]
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_beside_a_command_exists(page, commands):
    for match, _ in named(page, COMMAND):
        command = find_command(match, commands)
        options = set(re.findall(r"--[a-z][a-z-]*", match["rest"]))
        assert command is None or options <= commands[command], (match[0], command)


def test_the_readme_names_every_command(commands):
    text = (ROOT / "README.md").read_text()
    assert [" ".join(words) for words in commands if f"sinet {' '.join(words)}" not in text] == []


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    requested = {match[1] for page in PAGES for match, _ in named(page, r"(?:`|^    )make ([a-z-]+)")}
    requested |= {match[1] for match, _ in named(ROOT / "README.md", r"(?m)^    make ([a-z-]+)")}
    assert requested
    assert requested <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_resolves(page):
    links = [match[1] for match, _ in named(page, r"\]\(([^)#\s]+)[^)]*\)")]
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_every_path_in_the_table_of_places_exists():
    _, _, rest = (ROOT / "README.md").read_text().partition("## Where to change what")
    table, _, _ = rest.partition("## Commands")
    spelled = re.findall(r"`([\w/]+\.py|[\w/]+/)`", table)
    homes = (ROOT, ROOT / "sinet_pipelines", ROOT / "schedules")
    assert len(spelled) > 10
    assert [path for path in spelled if not any((home / path).exists() for home in homes)] == []


def test_pictures_are_small():
    pictures = list((ROOT / "docs" / "pictures").glob("*.png"))
    assert len(pictures) >= 2
    assert [picture.name for picture in pictures if picture.stat().st_size > LARGEST_PICTURE_BYTES] == []


def test_pages_are_short():
    lengths = {page.name: len(page.read_text().splitlines()) for page in (ROOT / "docs").glob("*.md")}
    assert max(lengths.values()) <= LONGEST_PAGE, lengths


def cells(row):
    return len(re.sub(r"`[^`]*`|\\\|", "", row).strip().strip("|").split("|"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_table_has_a_header_a_rule_and_rows_of_as_many_cells(page):
    text = "\n" + page.read_text()
    for table in re.findall(r"(?<=\n)(?:\|.*\n)+", text + "\n"):
        header, *rows = table.splitlines()
        assert re.fullmatch(r"(\|:?-+:?)+\|", rows[0] if rows else ""), f"{page.name}: no rule below {header}"
        assert {cells(row) for row in rows} == {cells(header)}, f"{page.name}: rows of another length below {header}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_heading_stands_apart_and_no_line_is_there_twice_in_a_row(page):
    lines = re.sub(r"(?ms)^```.*?^```$", "", page.read_text()).splitlines()
    for before, line in pairwise(lines):
        assert not (line and line == before), f"{page.name}: twice {line}"
        assert not (line.startswith("#") and before), f"{page.name}: no empty line before {line}"
    assert not page.read_text().startswith("\n")


def test_every_file_that_a_module_names_exists():
    named = re.compile(r"`([\w/.-]+/[\w-]+\.(?:py|md))`")
    modules = [path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 300
    lost = {
        f"{module.relative_to(ROOT)}: {match[1]}"
        for module in modules
        for match in named.finditer(module.read_text())
        if not any(
            (at / match[1]).exists() for at in (ROOT, ROOT / "sinet_pipelines", module.parent, module.parents[1])
        )
    }
    assert not lost
