"""Objects under a root, which is a folder of this machine or a prefix of an S3-compatible bucket, behind one protocol.

A key is a relative path with `/` between its names, which may have spaces, `#`, `%` and any alphabet. Every write is
atomic. Names that begin with `.` belong to writes in progress and are never listed.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from sinet_pipelines.errors import StorageError

MOST_KEY_BYTES = 1024  # the limit of S3 for a key, including its prefix
IN_MEMORY_BYTES = 8 << 20  # larger objects are opened as a temporary file
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Object:
    """The listing entry of an object.

    Attributes:
        key: its name below the root.
        size: in bytes.
        state: changes whenever the object is replaced; an ETag, or the metadata of a file.
        modified_at: UTC.
    """

    key: str
    size: int
    state: str
    modified_at: datetime


@dataclass(frozen=True)
class Tagged:
    """The bytes of an object and the tag with which `swap` replaces exactly these bytes."""

    content: bytes
    tag: str


@dataclass(frozen=True)
class Children:
    """The entries directly below a folder of a root, in order.

    Attributes:
        folders: names of the folders.
        objects: objects of the folder itself.
    """

    folders: tuple[str, ...] = ()
    objects: tuple[Object, ...] = ()


class Objects(Protocol):
    """Objects under one root. Every method raises a StorageError whose message has the root and the key.

    Each method of a store can raise UnreachableError and ForbiddenError, and AbsentError if its bucket is missing.
    """

    @property
    def root(self) -> str:
        """The folder, or `s3://bucket/prefix`."""

    def walk(self, prefix: str = "") -> Iterator[Object]:
        """All objects below a folder of the root, in the order of their keys, any number of them.

        Args:
            prefix: prefix of complete names: `landing/turbofan`; empty for all.
        """

    def children(self, prefix: str = "") -> Children:
        """The folders and objects directly below a folder of the root; deeper ones are not listed."""

    def stat(self, key: str) -> Object | None:
        """The object as `walk` returns it, None where there is none."""

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Its bytes from `start` on; fewer than `length` where it ends earlier.

        Raises:
            AbsentError: there is no such object.
        """

    def get(self, key: str) -> Tagged | None:
        """Its bytes and their tag, None where there is no such object."""

    def open(self, key: str) -> AbstractContextManager[tuple[Object, BinaryIO]]:
        """The object and a file with its content, unchanged if the object is replaced meanwhile, in bounded memory.

        Raises:
            AbsentError: there is no such object.
        """

    def put(self, key: str, content: bytes) -> None:
        """Writes the object, replacing an existing one."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Writes the object unless it exists; returns whether it did. Of concurrent writers, exactly one does."""

    def swap(self, key: str, content: bytes, *, tag: str) -> str:
        """Replaces the bytes that `get` returned with this tag; returns the new tag.

        Raises:
            ConflictError: another writer changed or deleted the object; nothing was written.
        """

    def delete(self, key: str) -> None:
        """Deletes the object if it exists."""


def open_objects(root: str, options: Mapping[str, str] | None = None) -> Objects:
    """The objects under a root.

    Args:
        root: path of a folder, which need not exist, or `s3://bucket/prefix`.
        options: options of a store, with the same names as for Delta tables (`s3.py`); never logged.

    Raises:
        StorageError: the root is neither, or credentials are missing.
    """
    if root.startswith("s3://"):
        from sinet_pipelines.storage.s3 import open_s3  # imports the client of stores

        return open_s3(root, options or {})
    if "://" in root:
        scheme = root.partition("://")[0]
        raise StorageError(f"no store is reached by {scheme}:// (allowed: a folder, s3://bucket/prefix); name one")
    from sinet_pipelines.storage.folder import FolderObjects

    return FolderObjects(root)


def require_key(key: str, *, prefix: str = "") -> str:
    """Checks and returns a key, which must be below the root.

    >>> require_key("landing/turbofan/2026-03-01/50% off #1.parquet")
    'landing/turbofan/2026-03-01/50% off #1.parquet'

    Raises:
        StorageError: it is empty, too long, could lead out of the root, or has control characters.
    """
    names = key.split("/")
    if not all(names) or not {".", ".."}.isdisjoint(names) or _CONTROL.search(key):
        raise StorageError(
            f"{key!r} is no key of an object (allowed: names with / between them; not allowed: empty names, . and .., "
            "control characters); name it otherwise"
        )
    size = len(f"{prefix}{key}".encode(errors="surrogateescape"))
    if size > MOST_KEY_BYTES:
        raise StorageError(f"the key {key[:60]!r}... has {size} bytes (allowed: {MOST_KEY_BYTES}); use shorter names")
    return key


def is_listed(key: str) -> bool:
    """Whether none of its names begins with a dot."""
    return not key.startswith(".") and "/." not in key
