"""What commands print is text: no markup of others, no escape sequence of others, in lines and in tables."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from sinet_pipelines.cli.terminal import Terminal, coloured

HOSTILE = ("[/red]", "[bold]x[/]", "[link=https://e.example]x[/link]", ":boom:", "a\x1b[31mb", "\x9b31m", "\u202ex")


@pytest.mark.parametrize("text", HOSTILE)
def test_words_are_printed_as_they_are_spelled(text):
    out = io.StringIO()
    terminal, table = Terminal(out), Table("name")
    table.add_row(text)
    terminal.print(text)
    terminal.print(table)
    terminal.print(Text(text))
    spelled = text.replace("\x1b", "\\x1b").replace("\x9b", "\\x9b").replace("\u202e", "\\u202e")
    assert out.getvalue().count(spelled) == 3
    assert not {"\x1b", "\x9b", "\u202e"} & set(out.getvalue())


def test_our_own_colours_reach_a_terminal():
    class Screen(io.StringIO):
        def isatty(self):
            return True

    out = Screen()
    terminal = Terminal(out, width=80)
    terminal._color_system = None  # none is guessed from this machine
    assert terminal.is_terminal
    (segment, *_) = terminal.render(coloured("done", "green"))
    assert (segment.text, str(segment.style)) == ("done", "green")
