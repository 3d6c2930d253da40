"""From the bytes of a file to lines and records of CSV, in bounded memory: a bad line takes no other one with it."""

import codecs
import csv
import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from sinet_pipelines.errors import first_line
from sinet_pipelines.ingestion.connectors.source import UnreadableError
from sinet_pipelines.ingestion.text_tables import GZIP, SEPARATORS

ZSTD = b"\x28\xb5\x2f\xfd"
BLOCK_BYTES = 1 << 20
LINE_BYTES = 64 << 20  # a longer line is no row; its beginning is kept
KEPT_BYTES = 64 << 10  # of a piece that is no row
RECORD_LINES = 1_000  # of one CSV record; more lines after an open quote mean that the quote is wrong
MOST_RATIO, FREE_BYTES = 2_000, 1 << 30  # unpacked bytes for each packed one, and those that need no reason
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TextLine(NamedTuple):
    """A line of a file.

    Attributes:
        number: from 1.
        content: its bytes without the line end.
        omitted: number of bytes after those of `content` that did not fit into a line.
    """

    number: int
    content: bytes
    omitted: int = 0


class CsvRecord(NamedTuple):
    """A record of CSV: its fields, or the reason why it has none.

    Attributes:
        number: of its first line.
        content: its bytes.
        fields: its values; empty where it is no record.
        reason: why it is no record; else empty.
    """

    number: int
    content: bytes
    fields: list[str]
    reason: str = ""


def unpacked(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes of a file in blocks, decompressed if they are gzip or Zstandard.

    Args:
        file: the open file.
        size: its size in bytes.

    Raises:
        UnreadableError: the compressed data are damaged, truncated, or would fill any disk.
    """
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    is_packed = head.startswith(GZIP) or head == ZSTD
    stream: BinaryIO = file
    if head.startswith(GZIP):
        stream = gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[assignment]
    elif head == ZSTD:
        stream = pa.CompressedInputStream(pa.PythonFile(_Kept(file), mode="r"), "zstd")
    total = 0
    try:
        while block := stream.read(BLOCK_BYTES):
            total += len(block)
            if is_packed and total > FREE_BYTES + MOST_RATIO * size:
                raise UnreadableError(f"it has {size:,} bytes and unpacks to more than {total:,}; send it unpacked")
            yield block
    except (EOFError, zlib.error, OSError, pa.ArrowException) as error:
        if not is_packed:
            raise
        raise UnreadableError(f"its compressed data are damaged or break off ({first_line(error)})") from error


class _Kept:
    """A file that its reader cannot close: Arrow's stream closes it when it is no longer used."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        pass


def text_blocks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks as UTF-8 without a byte order mark; UTF-16 needs its mark to be recognised.

    Raises:
        UnreadableError: a text in UTF-16 is damaged.
    """
    left = iter(blocks)
    head = b""
    while len(head) < 3 and (block := next(left, b"")):
        head += block
    if head.startswith(_UTF16_MARKS):
        yield from _from_utf16(head, left)
        return
    head = head.removeprefix(_UTF8_MARK)
    if b"\r" in head and b"\n" not in head:  # lines as of old spreadsheets
        yield head.replace(b"\r", b"\n")
        yield from (block.replace(b"\r", b"\n") for block in left)
        return
    yield head
    yield from left


def _from_utf16(head: bytes, left: Iterator[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")()
    try:
        yield decoder.decode(head).encode()
        for block in left:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", True).encode()
    except UnicodeError as error:
        raise UnreadableError(f"it begins as UTF-16 and is none ({first_line(error)}); save it as UTF-8") from error


def split_lines(blocks: Iterable[bytes], *, longest: int = LINE_BYTES) -> Iterator[TextLine]:
    """The lines of a text.

    Args:
        blocks: its bytes.
        longest: bytes of a line; of a longer one, only the beginning is in memory.
    """
    rest, omitted, number = bytearray(), 0, 0
    for block in blocks:
        *whole, last = block.split(b"\n")
        for piece in whole:
            number += 1
            if rest or omitted:
                omitted += _append(rest, piece, longest)
                piece = bytes(rest)
                rest.clear()
            yield TextLine(number, piece.removesuffix(b"\r"), omitted)
            omitted = 0
        omitted += _append(rest, last, longest)
    if rest or omitted:
        yield TextLine(number + 1, bytes(rest).removesuffix(b"\r"), omitted)


def _append(rest: bytearray, piece: bytes, longest: int) -> int:
    """Appends what fits; returns the number of bytes that do not."""
    room = max(0, longest - len(rest))
    rest += piece[:room]
    return max(0, len(piece) - room)


def read_header(lines: Iterator[TextLine], known: Iterable[str]) -> tuple[list[str], str]:
    """The column names in the first line that is not empty, and the separator with which it has the most known names.

    Raises:
        UnreadableError: there is no such line, or it is not UTF-8.
    """
    line = next((one for one in lines if one.content.strip()), None)
    if line is None:
        raise UnreadableError("it is empty (allowed: a header line and one row a line)")
    try:
        text = line.content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"its header is not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    wanted = set(known)
    found = {mark: [name.strip() for name in _fields(text, mark) or ()] for mark in SEPARATORS}
    separator = max(SEPARATORS, key=lambda mark: len(wanted & set(found[mark])))
    return found[separator], separator


def split_records(lines: Iterator[TextLine], *, separator: str, width: int) -> Iterator[CsvRecord]:
    """The records of CSV; a quoted field may have several lines.

    A quote that is never closed, or closed in a later record, makes only its own line a bad record.

    Args:
        lines: lines after the header.
        separator: between two fields.
        width: number of fields.
    """
    csv.field_size_limit(LINE_BYTES)  # the default makes an error of a long text
    waiting: deque[TextLine] = deque()

    def take() -> TextLine | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (line := take()) is not None:
        if not line.content.strip():
            continue
        first = _record(line, separator, width)
        if first.reason != _OPEN:
            yield first
            continue
        joined, held = _join(line, take, separator, width)
        if joined is None:
            waiting.extendleft(reversed(held))
            joined = first._replace(reason="a quote in it is not closed")
        yield joined


_OPEN = "open"


def _join(
    line: TextLine, take: Callable[[], TextLine | None], separator: str, width: int
) -> tuple[CsvRecord | None, list[TextLine]]:
    """The record of a line that ends within quotes with the lines after it; else None and these lines."""
    held: list[TextLine] = []
    content, is_open = bytearray(line.content), True
    while len(held) < RECORD_LINES and len(content) < LINE_BYTES and (more := take()) is not None:
        held.append(more)
        content += b"\n" + more.content
        if more.content.count(b'"') % 2:
            is_open = not is_open
            found = _record(TextLine(line.number, bytes(content), more.omitted), separator, width)
            if not is_open and not found.reason:
                return found, []
            if not is_open and found.reason != _OPEN:
                break  # closed, and still no record: the quote was wrong
    return None, held


def _record(line: TextLine, separator: str, width: int) -> CsvRecord:
    kept = line.content[:KEPT_BYTES]
    if line.omitted:
        size = len(line.content) + line.omitted
        return CsvRecord(line.number, kept, [], f"it has {size:,} bytes (allowed: {LINE_BYTES:,})")
    try:
        text = line.content.decode()
    except UnicodeDecodeError as error:
        return CsvRecord(line.number, kept, [], f"it is not UTF-8 (byte {error.start}); save the file as UTF-8")
    try:
        fields = next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return CsvRecord(line.number, kept, [], _OPEN)
        return CsvRecord(line.number, kept, [], f"it is no CSV ({first_line(error)})")
    if len(fields) != width:
        return CsvRecord(line.number, kept, [], f"it has {len(fields)} values (allowed: {width}, as its header)")
    return CsvRecord(line.number, kept, fields)


def _fields(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return []
