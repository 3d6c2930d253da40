"""The connector of files and folders of this machine."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from sinet_pipelines.errors import AbsentError, SourceError, UsageError
from sinet_pipelines.ingestion.connectors.files import Entry, FileSource, spooled
from sinet_pipelines.ingestion.connectors.formats import ALLOWED, format_of
from sinet_pipelines.ingestion.connectors.source import Settings
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.storage.folder import FolderObjects

SETTLED_S = 2.0  # a file that changed later may change again within one tick of the file system's clock


def open_source(url: str, settings: Settings) -> FileSource:
    """The files at a path or a `file:` URL; only a URL has escapes (`%20`).

    Raises:
        UsageError: the URL names another machine, or an option is given.
        SourceError: the home is a part of the source, or the reverse.
    """
    settings.only()
    path = _path(url)
    home, real = settings.home.resolve(), path.resolve()
    if home.is_relative_to(real) or real.is_relative_to(home):
        raise SourceError(f"{path} and the home {home} are inside each other (allowed: folders apart); name another")
    return FileSource(settings.name or f"file:{path}", LocalFiles(path, settings.report), settings.drop)


class LocalFiles:
    """The files below a folder, or one file. Links to folders are not followed.

    Args:
        path: path of the folder or the file.
        report: as in `Settings`.
    """

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        self._path, self._report = path, report
        self._objects = FolderObjects(str(path.parent if path.is_file() else path))

    def entries(self, _: Taken) -> Iterator[Entry]:
        """As in `Files`."""
        if self._path.is_dir():
            for one in self._objects.walk():
                yield Entry(one.key, one.state)
            return
        if not self._path.exists():
            raise SourceError(f"there is no {self._path} (needed: a file or a folder of files); correct the path")
        if not self._path.is_file() or not format_of(self._path.name):
            raise SourceError(f"{self._path} has no known format (allowed: {ALLOWED}); name a file of one of these")
        found = self._objects.stat(self._path.name)
        if found is not None:
            yield Entry(found.key, found.state, is_named=True)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[tuple[str, BinaryIO] | None]:
        """As in `Files`."""
        with self._objects.open(entry.name) as (before, file), spooled(file, self._report) as copy:
            after = self._objects.stat(entry.name)
            if after is None:
                raise AbsentError(f"{entry.name} was removed")
            if after.state != before.state:
                yield None
                return
            is_settled = abs(time.time() - before.modified_at.timestamp()) > SETTLED_S
            yield before.state if is_settled else "", copy


def _path(url: str) -> Path:
    if not url.lower().startswith("file:"):
        return Path(os.path.abspath(Path(url).expanduser()))  # noqa: PTH100 - a link keeps its name, its target may change
    parts = urlsplit(url.replace("#", "%23").replace("?", "%3F"))
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{url!r} names another machine (allowed: file:///PATH); mount its folder and name that")
    path = unquote(parts.path)
    if not path.startswith("/"):
        raise UsageError(f"{url!r} has no absolute path (allowed: file:///PATH, or a path without file:); correct it")
    return Path(os.path.normpath(path))
