"""Escapes text from outside (names of units, files and columns, reasons, paths, messages) for each place of display.

Text from outside is shown as it is spelled and has no effect: it is never markup, a link, an image, a script or an
escape sequence. There is one function for each place of display, and nothing else in the repository escapes text:

- `for_markdown`: Dagster's metadata and MLflow's descriptions;
- `for_html`: pages and SVG, in text and in quoted attributes;
- `for_terminal`: stdout, stderr and logs.
"""

import html
import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (with bidi marks), surrogates, line and paragraph ends
_JOINER = "\N{WORD JOINER}"  # has no width; stops GitHub's markdown from making a link of an address

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&])")
_BLOCK = re.compile(r"^(\d{1,9})([.)])(?= |$)|^()([-+=#])(?!\.?\d)")  # begins a list, a heading or a rule
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_LINKS = re.compile(r"(?i)(?<=http)(?=s?:)|(?<=https)(?=:)|(?<=www)(?=\.)|(?<=@)(?=[\w.-])")


def visible(text: str) -> str:
    r"""The text with every invisible character written as an escape: control, bidi, zero-width, surrogates.

    >>> visible("T-1\x1b[31m\u202e")
    'T-1\\x1b[31m\\u202e'
    """
    if text.isascii() and text.isprintable():
        return text  # nearly every text, at a hundredth of the time
    return "".join(_spelled(one) if unicodedata.category(one) in _INVISIBLE else one for one in text)


def for_terminal(text: object) -> str:
    r"""One line of text that cannot move the cursor, set a colour or open a link on a terminal.

    >>> for_terminal("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return visible(str(text))


def for_html(text: object) -> str:
    """Escapes text for HTML or SVG, between tags or in a quoted attribute.

    >>> for_html("<b onclick='x'>")
    '&lt;b onclick=&#x27;x&#x27;&gt;'
    """
    return html.escape(visible(" ".join(str(text).split())))


def for_markdown(text: object) -> str:
    r"""Escapes text for one line of markdown, also for a cell of a table: no character is markup, no address a link.

    >>> for_markdown("1. <b>t2_degr|x</b>")
    '1\\. \\<b\\>t2\\_degr\\|x\\</b\\>'
    """
    words = _MARKUP.sub(r"\\\1", visible(" ".join(str(text).split())))
    return _LINKS.sub(_JOINER, _BLOCK.sub(r"\1\3\\\2\4", words))


def from_markdown(text: str) -> str:
    r"""The original text of what `for_markdown` escaped, for a terminal.

    >>> from_markdown(for_markdown("t2_degr in '`K`'; see https://e.example"))
    "t2_degr in '`K`'; see https://e.example"
    """
    return _ESCAPED.sub(r"\1", text).replace(_JOINER, "")


def _spelled(one: str) -> str:
    number = ord(one)
    if one in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[one]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
