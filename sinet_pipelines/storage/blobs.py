"""Content-addressed blobs: bytes under the name of their SHA-256, written once, checked when read.

A ref is a name that points at the newest blob of a thing (`operating_regimes`), as a branch points at a commit.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.files import write_whole

_NAME = re.compile(r"[0-9a-f]{64}")
_REF = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*")


def is_blob_name(word: str) -> bool:
    """Whether this is a SHA-256 in hex, under which a blob can be kept."""
    return _NAME.fullmatch(word) is not None


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
        if not self.has(name):
            write_whole(self.path(name), content)
        return name

    def point(self, ref: str, name: str) -> None:
        """Makes the ref point at the blob of this name; whoever reads it sees the old blob or the new one."""
        before_commit()
        write_whole(self._ref(ref), self.path(name).name.encode())

    def resolve(self, ref: str) -> str | None:
        """The name of the blob that the ref points at, None where it points at nothing."""
        path = self._ref(ref)
        return path.read_text() if path.exists() else None

    def get_ref(self, ref: str) -> bytes:
        """The bytes that the ref points at.

        Raises:
            StorageError: it points at nothing, or at a blob that is gone or changed.
        """
        name = self.resolve(ref)
        if name is None:
            raise StorageError(f"no {ref} was made in {self.root}; materialise the asset of that name first")
        return self.get(name)

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

    def _ref(self, ref: str) -> Path:
        if not _REF.fullmatch(ref):
            raise StorageError(f"{ref!r} is no ref (allowed: words of a-z, 0-9 and _, joined by /)")
        return self.root / "refs" / ref
