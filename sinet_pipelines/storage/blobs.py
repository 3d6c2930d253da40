"""Content-addressed blobs: bytes under the name of their SHA-256, written once, checked when read."""

import errno
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.errors import StorageError

_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BlobStore:
    """Blobs under one folder, spread over 256 subfolders by their first two digits.

    Attributes:
        root: the folder; made with the first blob.
    """

    root: Path

    def put(self, content: bytes) -> str:
        """Keeps the bytes and returns their SHA-256; bytes that are there already are not written again.

        Raises:
            StorageError: the disk is full or not writable; nothing is left half-written.
        """
        name = hashlib.sha256(content).hexdigest()
        path = self.path(name)
        if path.exists():
            return name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(prefix=".", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(partial).replace(path)
            finally:
                Path(partial).unlink(missing_ok=True)
        except OSError as error:
            why = "no space is left" if error.errno == errno.ENOSPC else str(error)
            raise StorageError(f"a blob of {len(content)} bytes could not be kept in {self.root}: {why}") from error
        return name

    def get(self, name: str) -> bytes:
        """The bytes of this name.

        Raises:
            StorageError: no such blob, or its bytes are not those it was named after.
        """
        path = self.path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise StorageError(f"no blob {name} in {self.root}; materialise the asset that makes it again") from error
        found = hashlib.sha256(content).hexdigest()
        if found != name:
            raise StorageError(f"blob {name} in {self.root} holds {found}: it was changed; remove it and make it again")
        return content

    def has(self, name: str) -> bool:
        """Whether the blob is kept."""
        return self.path(name).exists()

    def path(self, name: str) -> Path:
        """Where the blob is or would be.

        Raises:
            StorageError: the name is no SHA-256, so it could climb out of the root.
        """
        if not _NAME.fullmatch(name):
            raise StorageError(f"{name!r} is no blob's name (allowed: 64 hex digits of a SHA-256)")
        return self.root / name[:2] / name
