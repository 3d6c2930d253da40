"""Builds markdown from plain text: every builder escapes its text, so that only markup made here has an effect.

`Markdown` is text that is markdown already. Builders that accept text or `Markdown` escape text alone.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from sinet_pipelines.escaping import for_markdown, visible


class Markdown(str):
    """Markdown that a builder made, never text from outside; only builders (here and in `pictures/`) make it."""

    __slots__ = ()


def words(text: str) -> Markdown:
    """A line of text."""
    return text if isinstance(text, Markdown) else Markdown(for_markdown(text))


def strong(text: str) -> Markdown:
    """A line of text in bold."""
    return Markdown(f"**{words(text)}**")


def heading(text: str, level: int) -> Markdown:
    """A heading, from level 1."""
    return Markdown(f"{'#' * level} {words(text)}")


def code(text: str) -> Markdown:
    """A name or command in a monospaced font."""
    return words(text) if re.search(r"[`|]", text) or not text.strip() else Markdown(f"`{visible(text)}`")


def points(texts: Iterable[str]) -> Markdown:
    """A list with one item for each text."""
    return Markdown("\n".join(f"- {words(text)}" for text in texts))


def code_block(lines: Iterable[str], language: str = "") -> Markdown:
    """Lines unchanged, in a monospaced font."""
    shown = [visible(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown("\n".join([f"{fence}{language}", *shown, fence]))


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numeric: Collection[int] = ()) -> Markdown:
    """A table.

    Args:
        head: names of the columns.
        rows: each as long as the head.
        numeric: columns that hold numbers, aligned on the right.
    """
    rule = [Markdown("---:" if place in numeric else "---") for place in range(len(head))]
    lines = [head, rule, *rows]
    return Markdown("\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines))


def together(*parts: str) -> Markdown:
    """Joins parts with an empty line between them."""
    return Markdown("\n\n".join(words(part) for part in parts if part))


def _cell(cell: object) -> str:
    return cell if isinstance(cell, Markdown) else for_markdown(cell)
