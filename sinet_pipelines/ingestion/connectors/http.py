"""The connector of one file at a web server: downloaded when it changed, resumed, and compared with its checksum."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from sinet_pipelines.errors import SourceError, UsageError
from sinet_pipelines.ingestion.connectors.client import Client
from sinet_pipelines.ingestion.connectors.download import Download
from sinet_pipelines.ingestion.connectors.files import Entry, FileSource
from sinet_pipelines.ingestion.connectors.formats import ALLOWED, format_of
from sinet_pipelines.ingestion.connectors.source import Settings
from sinet_pipelines.ingestion.connectors.taken import Taken, source_id
from sinet_pipelines.storage.files import disk_errors

OPTIONS = ("user", "password", "token", "headers", "ca_file", "sha256", "max_bytes", "file_name")
MOST_BYTES = 16 << 30
_CHECKSUM_BYTES = 1 << 20
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_SHA256 = re.compile(r"\b[0-9a-fA-F]{64}\b")


def open_source(url: str, settings: Settings) -> FileSource:
    """The file at an `http:` or `https:` URL.

    Raises:
        UsageError: the URL has no host, its file has no known format, or an option is unknown or invalid.
    """
    options = settings.only(*OPTIONS)
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url.partition('?')[0]!r} names no host; give one like https://HOST/PATH/FILE.csv")
    file_name = str(options.get("file_name") or unquote(parts.path.rpartition("/")[2]))
    if not format_of(file_name) or "/" in file_name:
        raise UsageError(
            f"{file_name!r} has no known format (allowed: {ALLOWED}); give the name of the file as the option file_name"
        )
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    shown = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    name = settings.name or (f"{shown}?{source_id(parts.query)}" if parts.query else shown)
    client = Client(_headers(options), ca_file=str(options.get("ca_file", "")))
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    files = HttpFile(
        client,
        urlunsplit((parts.scheme, parts.netloc, path, query, "")),
        urlunsplit((parts.scheme, parts.netloc, f"{path}.sha256", query, "")),
        shown=shown,
        file_name=file_name,
        sha256=_checksum(options),
        partial=settings.cache / f"{source_id(name)}.part",
        most_bytes=_most_bytes(options),
        report=settings.report,
    )
    return FileSource(name, files, settings.drop)


class HttpFile:
    """One file at a web server.

    Args:
        client: sends the requests.
        url: URL of the file.
        checksum_url: URL of the file with its checksum, which need not exist.
        shown: the URL in the form for messages, without its query.
        file_name: name of the file.
        sha256: the expected checksum in hex digits; empty for the one at `checksum_url`.
        partial: file for an unfinished download.
        most_bytes: size of the largest accepted file.
        report: as in `Settings`.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        checksum_url: str,
        *,
        shown: str,
        file_name: str,
        sha256: str,
        partial: Path,
        most_bytes: int,
        report: Callable[[int], None],
    ) -> None:
        self._client, self._url, self._checksum_url, self._shown = client, url, checksum_url, shown
        self._file_name, self._sha256 = file_name, sha256
        self._download = Download(client, url, shown=shown, partial=partial, most_bytes=most_bytes, report=report)

    def entries(self, taken: Taken) -> Iterator[Entry]:
        """As in `Files`; an unchanged file is recognised by its ETag or its date."""
        known = taken.version(self._file_name)
        is_new = self._download.start(known)
        yield Entry(self._file_name, "" if is_new else known, is_named=True)

    @contextmanager
    def open(self, _: Entry) -> Iterator[tuple[str, BinaryIO] | None]:
        """As in `Files`."""
        with closing(self._download):
            expected = self._sha256 or self._beside()
            version = self._download.finish()
        with disk_errors(self._download.partial):
            content = self._download.partial.open("rb")
        with content as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if expected and found != expected:
                self._download.remove()
                raise SourceError(
                    f"{self._shown} has the SHA-256 {found[:16]}... (expected: {expected[:16]}...): nothing of it "
                    "landed; repeat the pull, or correct the checksum"
                )
            file.seek(0)
            yield version, file
        self._download.remove()

    def _beside(self) -> str:
        """The checksum in the file `.sha256` beside it; empty where there is none."""
        content = self._client.read_small(self._checksum_url, most_bytes=_CHECKSUM_BYTES, shown=f"{self._shown}.sha256")
        if content is None:
            return ""
        if content.lstrip().startswith(b"<"):
            return ""  # a page: some servers have one at every URL
        lines = [line for line in content.decode(errors="replace").splitlines() if _SHA256.search(line)]
        ours = [line for line in lines if line.rstrip().endswith(self._file_name)] or lines
        if not ours:
            raise SourceError(f"{self._shown}.sha256 has no SHA-256 (allowed: 64 hex digits); correct or remove it")
        return _SHA256.findall(ours[0])[0].lower()


def _headers(options: Mapping[str, Any]) -> dict[str, str]:
    """The headers with credentials.

    Raises:
        UsageError: a request cannot have such a header; the message has no value.
    """
    given = options.get("headers", {})
    found = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else None
    if found is None or not all(_HEADER_NAME.fullmatch(name) and _is_sendable(value) for name, value in found.items()):
        raise UsageError(
            "the option headers is no object of names and values (allowed: names of ASCII letters, digits and -, "
            "values of one line in Latin-1); correct it"
        )
    if options.get("token"):
        found["Authorization"] = f"Bearer {options['token']}"
        if not _is_sendable(found["Authorization"]):
            raise UsageError(
                "the option token has a line end or a character that no header can have (allowed: one line in "
                "Latin-1); correct it"
            )
    elif options.get("user"):
        pair = f"{options['user']}:{options.get('password', '')}".encode()
        found["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return found


def _is_sendable(value: str) -> bool:
    """Whether a header can have the value: one line in Latin-1 (RFC 9110, section 5.5)."""
    return re.search(r"[\0-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]", value) is None


def _checksum(options: Mapping[str, Any]) -> str:
    found = str(options.get("sha256", "")).strip().lower()
    if found and not _SHA256.fullmatch(found):
        raise UsageError("the option sha256 is no SHA-256 (allowed: 64 hex digits); correct it")
    return found


def _most_bytes(options: Mapping[str, Any]) -> int:
    found = options.get("max_bytes", MOST_BYTES)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UsageError(f"the option max_bytes is {found!r} (allowed: a number of bytes from 1); correct it")
    return found
