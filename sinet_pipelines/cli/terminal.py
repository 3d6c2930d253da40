"""The terminal that every command prints tables on: text from outside has no effect on it."""

import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from sinet_pipelines.escaping import for_terminal

WIDTH = 160  # columns where the output is not a terminal


class Terminal(Console):
    """A console that reads no markup and escapes control characters of every text; colours come from `coloured`."""

    def __init__(self, file: IO[str] | None = None, *, width: int | None = None) -> None:
        out = sys.stdout if file is None else file
        own = width if width is not None or out.isatty() else WIDTH
        super().__init__(file=file, width=own, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text in lines or in a cell, with control characters escaped before its width is measured."""
        return super().render_str("\n".join(for_terminal(line) for line in text.split("\n")), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of the output, also escaped where the text was made elsewhere."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                lines = "\n".join(for_terminal(line) for line in segment.text.split("\n"))
                yield Segment(lines, segment.style)


def coloured(text: str, style: str) -> Text:
    """Text in a colour."""
    return Text(text, style)
