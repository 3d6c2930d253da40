"""The connector of objects below a prefix of an S3-compatible bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sinet_pipelines.errors import AbsentError, SourceError, StorageError, UsageError
from sinet_pipelines.ingestion.connectors.files import Entry, FileSource
from sinet_pipelines.ingestion.connectors.formats import format_of
from sinet_pipelines.ingestion.connectors.source import Settings
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.storage.objects import Objects, open_objects

#: Each option of the file with the option of the store.
OPTIONS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "region": "AWS_REGION",
    "endpoint_url": "AWS_ENDPOINT_URL",
}


def open_source(url: str, settings: Settings) -> FileSource:
    """The objects at `s3://bucket/prefix`, a folder or one object; its name has no escapes.

    Raises:
        UsageError: an option is unknown, or credentials are missing.
    """
    options = {OPTIONS[name]: str(value) for name, value in settings.only(*OPTIONS).items()}
    root = url.rstrip("/")
    try:
        objects = open_objects(root, options)
        above = open_objects(root.rpartition("/")[0], options) if root.count("/") > 2 else None
    except StorageError as error:
        raise UsageError(f"{error} (options: {', '.join(OPTIONS)}, in the file of --options)") from error
    endpoint = options.get("AWS_ENDPOINT_URL", "").rpartition("@")[2].rstrip("/")
    name = root if not endpoint else f"{root} at {endpoint}"
    return FileSource(settings.name or name, StoredFiles(objects, above), settings.drop)


class StoredFiles:
    """The objects below a prefix, or one object.

    Args:
        objects: the objects below the prefix.
        above: the objects beside it; None for a whole bucket.
    """

    def __init__(self, objects: Objects, above: Objects | None) -> None:
        self._objects, self._above = objects, above

    def entries(self, _: Taken) -> Iterator[Entry]:
        """As in `Files`."""
        name = self._objects.root.rpartition("/")[2]
        try:
            found = [Entry(one.key, one.state) for one in self._objects.walk()]
            if not found and self._above is not None and format_of(name):
                one = self._above.stat(name)
                found = [] if one is None else [Entry(name, one.state, is_named=True)]
                self._objects = self._above
            yield from found
        except AbsentError as error:
            raise SourceError(str(error)) from error

    @contextmanager
    def open(self, entry: Entry) -> Iterator[tuple[str, BinaryIO] | None]:
        """As in `Files`: the object as it was at one request."""
        with self._objects.open(entry.name) as (found, file):
            yield found.state, file
