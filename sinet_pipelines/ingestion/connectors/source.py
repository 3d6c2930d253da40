"""What a source is: parts that land as a whole, from a connector that is one file of this package.

A connector joins the platform with one module that has a function `open_source(url, settings) -> Source`, and one line
in `CONNECTORS`. The suite `tests/contracts/test_connectors.py` runs over every connector of that table.
"""

import re
import stat
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import polars as pl

from sinet_pipelines.errors import UsageError
from sinet_pipelines.ingestion.streams.source import read_options
from sinet_pipelines.schemas.contract import Contract

if TYPE_CHECKING:
    from sinet_pipelines.ingestion.connectors.taken import Taken

#: The schemes of a source's URL, each with its module. A path without a scheme is a `file`.
CONNECTORS: Mapping[str, str] = {
    "file": "folder",
    "s3": "s3",
    "postgresql": "postgresql",
    "http": "http",
    "https": "http",
}
EXAMPLES = (
    "a path, file:///PATH, s3://BUCKET/PREFIX, postgresql://HOST/DATABASE/SCHEMA.TABLE?watermark=COLUMN, "
    "https://HOST/PATH/FILE.csv"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):")


class UnreadableError(Exception):
    """Why a file has no rows: what was found, and what is allowed. Its rows do not land; the other files do."""


class UnreadPiece(NamedTuple):
    """A piece of a part that is no row.

    Attributes:
        place: number of its first line or of its row, from 1; 0 for the part as a whole.
        payload: its bytes, shortened where they are long.
        reason: why it is no row: what was found, and what is allowed.
    """

    place: int
    payload: bytes
    reason: str


@dataclass(frozen=True)
class Block:
    """Some rows of a part, of limited size.

    Attributes:
        rows: columns of a drop and `unparsed`.
        dead: the pieces beside them that are no rows.
        unknown: columns that no contract knows, which are ignored.
    """

    rows: pl.DataFrame
    dead: tuple[UnreadPiece, ...] = ()
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Part:
    """New rows of a source that land as a whole: a file, or the next rows of a table.

    Attributes:
        name: name of the file below the source; `rows` for a table.
        digest: identifies its content.
        blocks: its rows, read once; raises UnreadableError where the part has none.
        version: changes when the file is replaced; empty if it must be compared by content again.
        position: state of a table after these rows; None for a file.
    """

    name: str
    digest: str
    blocks: Iterable[Block]
    version: str = ""
    position: Mapping[str, Any] | None = None


@dataclass
class Notes:
    """What a source counts while it is read.

    Attributes:
        parts: parts that were found, with unchanged ones.
        unchanged: parts that landed before.
        repeated: rows of a table that landed before.
        changed: rows of a table whose key landed before with other values.
        without_watermark: rows of a table that cannot be read, since their watermark is null or infinite.
        left: parts that were not read, each with the reason.
    """

    parts: int = 0
    unchanged: int = 0
    repeated: int = 0
    changed: int = 0
    without_watermark: int = 0
    left: dict[str, str] = field(default_factory=dict)


class Source(Protocol):
    """A source of rows. It is used by one thread, and read once."""

    @property
    def name(self) -> str:
        """Its URL without credentials, for messages and tables; two sources have different names."""

    @property
    def notes(self) -> Notes:
        """What it counted so far."""

    def parts(self, taken: "Taken") -> Generator[Part, None, None]:
        """Connects, and returns the parts with new rows; each must be used before the next one is read.

        Args:
            taken: what landed before.

        Raises:
            SourceError: there is no such source, or it has not the columns of the contract.
            UnreachableError: it does not answer.
            ForbiddenError: it rejects the credentials.
        """


@dataclass(frozen=True)
class Settings:
    """What a source is opened with.

    Attributes:
        drop: contract of a row.
        options: options of the connector: user, password, endpoint; never logged.
        cache: folder for unfinished downloads, which may be removed at any time.
        home: the home, which cannot be a part of a source.
        name: name of the source; empty for its URL.
        report: is called with the number of bytes whenever some were read.
    """

    drop: Contract
    options: Mapping[str, Any] = field(repr=False)
    cache: Path
    home: Path
    name: str = ""
    report: Callable[[int], None] = lambda _: None

    def only(self, *allowed: str) -> dict[str, Any]:
        """The options.

        Raises:
            UsageError: one of them is not among the allowed.
        """
        if unknown := sorted(set(self.options) - set(allowed)):
            raise UsageError(
                f"no option {', '.join(unknown)} (allowed: {', '.join(allowed) or 'none'}); remove it from the file"
            )
        return dict(self.options)


def open_source(url: str, settings: Settings) -> Source:
    """The source at a URL or path, not yet connected.

    Raises:
        UsageError: no connector reads such a URL, it has a password, or the client library is not installed.
    """
    scheme = scheme_of(url)
    if scheme not in CONNECTORS:
        raise UsageError(f"no connector reads {scheme}:// (allowed: {EXAMPLES}); give one of these")
    if scheme != "file":
        _require_no_password(url)
    try:
        module = import_module(f"{__package__}.{CONNECTORS[scheme]}")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{scheme}:// needs the module {error.name}; install it with `pip install 'sinet-pipelines[clusters]'`"
        ) from error
    source: Source = module.open_source(url, settings)
    return source


def scheme_of(url: str) -> str:
    """The scheme of a URL; `file` for a path.

    >>> scheme_of("s3://plant/rows"), scheme_of("/data/my plant #2"), scheme_of("file:/data")
    ('s3', 'file', 'file')
    """
    found = _SCHEME.match(url)
    return (found.group(1) or found.group(2)).lower() if found else "file"


def read_private_options(path: Path | None) -> dict[str, Any]:
    """The options in a JSON file that only its owner can read; none without a file.

    Raises:
        UsageError: others can read it.
        SourceError: it cannot be read or is not one JSON object.
    """
    if path is not None and path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"{path} can be read by others (mode {stat.S_IMODE(path.stat().st_mode):o}, allowed: 600); its credentials "
            f"are then no secret: run `chmod 600` on it"
        )
    return read_options(path)


def _require_no_password(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_open = "@" in parts.netloc
    except ValueError as error:
        raise UsageError(f"this is no URL ({error}); give one like {EXAMPLES}") from error
    if is_open:
        raise UsageError(
            "the URL has a user or a password, which every process of this machine can read; put them into a file and "
            "give it with --options"
        )
