"""Escapes words from outside (names of units, files and columns, reasons, paths, messages) for each place of display.

A word from outside is shown as it is spelled and does nothing: it is no markup, link, image, script or escape sequence.
One function a place; nothing else in the repository escapes:

- `for_markdown`: Dagster's metadata and MLflow's descriptions;
- `for_html`: pages and SVG, in text and in quoted attributes;
- `for_terminal`: stdout, stderr and logs.
"""

import html
import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (bidi marks among them), half characters, line ends
_JOINER = "\N{WORD JOINER}"  # has no width; parts what GitHub's markdown would make a link of by itself

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&])")
_BLOCK = re.compile(r"^(\d{1,9})([.)])(?= |$)|^()([-+=#])(?!\.?\d)")  # begins a list, a heading or a rule
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_LINKS = re.compile(r"(?i)(?<=http)(?=s?:)|(?<=https)(?=:)|(?<=www)(?=\.)|(?<=@)(?=[\w.-])")


def visible(text: str) -> str:
    r"""The text with every character that is not seen spelled out: control, bidi and zero-width ones, half characters.

    >>> visible("T-1\x1b[31m\u202e")
    'T-1\\x1b[31m\\u202e'
    """
    return "".join(_spelled(one) if unicodedata.category(one) in _INVISIBLE else one for one in text)


def for_terminal(text: object) -> str:
    r"""One line of text that moves no cursor, sets no colour and opens no link on a terminal.

    >>> for_terminal("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return visible(str(text))


def for_html(text: object) -> str:
    """Text for HTML or SVG, between tags or in a quoted attribute.

    >>> for_html("<b onclick='x'>")
    '&lt;b onclick=&#x27;x&#x27;&gt;'
    """
    return html.escape(visible(" ".join(str(text).split())))


def for_markdown(text: object) -> str:
    r"""Text in one line of markdown, also in a cell of a table: no sign in it is markup, nor does it become a link.

    >>> for_markdown("1. <b>t2_degr|x</b>")
    '1\\. \\<b\\>t2\\_degr\\|x\\</b\\>'
    """
    words = _MARKUP.sub(r"\\\1", visible(" ".join(str(text).split())))
    return _LINKS.sub(_JOINER, _BLOCK.sub(r"\1\3\\\2\4", words))


def from_markdown(text: str) -> str:
    r"""The words that `for_markdown` escaped, for a terminal.

    >>> from_markdown(for_markdown("t2_degr in '`K`'; see https://e.example"))
    "t2_degr in '`K`'; see https://e.example"
    """
    return _ESCAPED.sub(r"\1", text).replace(_JOINER, "")


def _spelled(one: str) -> str:
    number = ord(one)
    if one in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[one]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
