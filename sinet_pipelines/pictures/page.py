"""A page as blocks, rendered as markdown for Dagster and as one self-contained HTML file.

The file makes no request and runs no script (its own policy forbids both), and is readable on light and dark screens,
on paper and on a telephone. All text is escaped: a block holds text and numbers, never markup.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sinet_pipelines import markdown
from sinet_pipelines.escaping import for_html
from sinet_pipelines.markdown import Markdown
from sinet_pipelines.pictures.canvas import data_uri
from sinet_pipelines.pictures.style import POLICY, STYLE


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        text: its text.
        emphasis: whether it is emphasised, as a decision or a warning.
        good: whether the emphasis marks a good result; None for no emphasis.
    """

    text: str
    emphasis: bool = False
    good: bool | None = None


@dataclass(frozen=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Figures:
    """The most important numbers: name and value."""

    items: Mapping[str, str]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    items: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        head: names of the columns.
        rows: each as long as the head.
        numeric: columns that hold numbers, aligned on the right.
        marked: indices of highlighted rows.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Command:
    """A shell command."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A PNG with a text description."""

    png: bytes
    caption: str


Block: TypeAlias = Words | Points | Figures | Facts | Table | Command | Picture


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


def to_markdown(title: str, sections: Sequence[Section]) -> Markdown:
    """The page as markdown; pictures are replaced by their captions."""
    parts = [markdown.heading(title, 1)]
    for section in sections:
        parts.append(markdown.heading(section.title, 2))
        parts += [_block_markdown(block) for block in section.blocks]
    return Markdown(markdown.together(*parts) + "\n")


def to_html(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """The page as one HTML file."""
    links = "".join(f'<li><a href="#{_anchor(one.title)}">{for_html(one.title)}</a></li>' for one in sections)
    body = "".join(
        f'<section id="{_anchor(one.title)}"><h2>{for_html(one.title)}</h2>{"".join(map(_block_html, one.blocks))}'
        "</section>"
        for one in sections
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{for_html(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head>'
        f"<body><header><h1>{for_html(title)}</h1><p>{for_html(subtitle)}</p></header>"
        f"<nav><ul>{links}</ul></nav><main>{body}</main></body></html>\n"
    )


def _block_markdown(block: Block) -> Markdown:
    match block:
        case Words(text, emphasis):
            return markdown.strong(text) if emphasis else markdown.words(text)
        case Points(items):
            return markdown.points(items)
        case Figures(items) | Facts(items):
            return markdown.table(("what", "value"), items.items())
        case Table(head, rows, numeric):
            return markdown.table(head, rows, numeric=numeric)
        case Command(text):
            return markdown.code_block(text.splitlines())
        case Picture(_, caption):
            return markdown.words(f"Picture: {caption}")


def _block_html(block: Block) -> str:
    match block:
        case Words(text, emphasis, good):
            kind = {True: "good", False: "bad", None: "note"}[good] if emphasis else ""
            return f'<p class="{kind}">{for_html(text)}</p>'
        case Points(items):
            return f"<ul>{''.join(f'<li>{for_html(item)}</li>' for item in items)}</ul>"
        case Figures(items):
            tiles = "".join(
                f"<div><dt>{for_html(name)}</dt><dd>{for_html(value)}</dd></div>" for name, value in items.items()
            )
            return f'<dl class="figures">{tiles}</dl>'
        case Facts(items):
            return _table_html(tuple(items.items()), marked=frozenset(), numeric=frozenset(), head=())
        case Table(head, rows, numeric, marked):
            return _table_html(rows, marked=marked, numeric=numeric, head=head)
        case Command(text):
            shown = "\n".join(for_html(line) for line in text.splitlines())
            return f"<pre><code>{shown}</code></pre>"
        case Picture(png, caption):
            escaped = for_html(caption)
            return f'<figure><img src="{data_uri(png)}" alt="{escaped}"><figcaption>{escaped}</figcaption></figure>'


def _table_html(
    rows: Sequence[Sequence[str]], *, head: Sequence[str], numeric: frozenset[int], marked: frozenset[int]
) -> str:
    """A table that scrolls separately where the page is narrow; in one without a head the first column is the head."""
    above = "".join(_cell("th", text, number=place in numeric) for place, text in enumerate(head))
    lines = []
    for at, row in enumerate(rows):
        tags = ["td" if head or place else "th" for place in range(len(row))]
        cells = (_cell(tags[place], text, number=place in numeric) for place, text in enumerate(row))
        lines.append(f'<tr class="{"marked" if at in marked else ""}">{"".join(cells)}</tr>')
    top = f"<thead><tr>{above}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{top}<tbody>{"".join(lines)}</tbody></table></div>'


def _cell(tag: str, text: str, *, number: bool) -> str:
    return f'<{tag} class="{"number" if number else ""}">{for_html(text)}</{tag}>'


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
