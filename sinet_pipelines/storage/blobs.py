"""Content-addressed blobs: bytes with their SHA-256 as name, written once, verified when read.

A ref is a name that points at the newest blob of an object (`operating_regimes`), like a branch points at a commit.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sinet_pipelines.errors import AbsentError, ConflictError, StorageError
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.folder import FolderObjects
from sinet_pipelines.storage.layout import BLOBS, REFS, blobs_folders, refs_root
from sinet_pipelines.storage.locks import held
from sinet_pipelines.storage.objects import Object, Objects, open_objects
from sinet_pipelines.storage.roots import access_options, root_of, stored_roots

_NAME = re.compile(r"[0-9a-f]{64}")
LOCK = ".blobs.lock"  # in the folder of blobs: held while the time of an existing blob is set, or a blob is removed
RENEW_AFTER = timedelta(hours=1)  # age from which an existing object of a store is written again
_POINTS = 5  # attempts to move a ref that other writers move too; each attempt reads the newest state
_REF = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*")


def is_blob_name(word: str) -> bool:
    """Whether this is a SHA-256 in hex, the form of a blob's name."""
    return _NAME.fullmatch(word) is not None


@dataclass(frozen=True)
class BlobStore:
    """Blobs under one root, in 256 folders by their first two digits.

    Attributes:
        root: the folder, made with the first blob; for blobs on a store, the folder of this machine that caches
            blobs requested as files.
        application: application of the refs; blobs are shared by all applications.
        objects: the blobs on a store; None where the root is their folder.
    """

    root: Path
    application: str = ""
    objects: Objects | None = field(default=None, kw_only=True)

    @property
    def place(self) -> str:
        """The place of the blobs, for messages."""
        return self.objects.root if self.objects is not None else str(self.root)

    def put(self, content: bytes) -> str:
        """Stores the bytes and returns their SHA-256; existing bytes are not written again.

        Raises:
            StorageError: the disk is full or not writable, or the store rejects them; no partial blob remains.
        """
        name = hashlib.sha256(content).hexdigest()
        if self.objects is not None:
            if not self.objects.put_if_absent(_key(name), content):
                self._renew(_key(name), content)
        elif not (self.has(name) and self._touch(self.root / _key(name))):
            write_whole(self.root / _key(name), content)
        return name

    def _touch(self, path: Path) -> bool:
        """Sets the time of a blob that is written again to now, so that it is not removed; false where it is gone."""
        with held(self.root / LOCK), suppress(FileNotFoundError):
            os.utime(path)
            return True
        return False

    def _renew(self, key: str, content: bytes) -> None:
        """Writes an old object of a store again, so that it is not removed as unused."""
        assert self.objects is not None  # the caller has checked it
        found = self.objects.stat(key)
        if found is None or datetime.now(UTC) - found.modified_at > RENEW_AFTER:
            self.objects.put(key, content)

    def point(self, ref: str, name: str) -> None:
        """Makes the ref point at the blob of this name; readers get the old blob or the new one.

        Raises:
            ConflictError: other writers moved the ref during each attempt; it points at the blob of one of them.
        """
        before_commit()
        content = _require_name(name).encode()
        if self.objects is None:
            write_whole(self._ref(ref), content)
            return
        key = self._ref_key(ref)
        for _ in range(_POINTS):
            found = self.objects.get(key)
            try:
                if found is None and self.objects.put_if_absent(key, content):
                    return
                if found is not None:
                    self.objects.swap(key, content, tag=found.tag)
                    return
            except ConflictError:
                continue
        raise ConflictError(f"{key} in {self.place} was moved by other writers {_POINTS} times; try again")

    def resolve(self, ref: str) -> str | None:
        """The name of the blob that the ref points at, None where it points at nothing."""
        if self.objects is not None:
            found = self.objects.get(self._ref_key(ref))
            return None if found is None else found.content.decode(errors="replace")
        path = self._ref(ref)
        return path.read_text(errors="replace") if path.exists() else None

    def get_ref(self, ref: str) -> bytes:
        """The bytes that the ref points at.

        Raises:
            StorageError: it points at nothing, or at a blob that is missing or changed.
        """
        name = self.resolve(ref)
        if name is None:
            raise StorageError(f"no {ref} was made in {self.place}; materialise the asset of that name first")
        return self.get(name)

    def get(self, name: str) -> bytes:
        """The bytes of this name.

        Raises:
            StorageError: the blob does not exist, or its bytes do not have this hash.
        """
        try:
            content = self._content(name)
        except (FileNotFoundError, AbsentError) as error:
            raise StorageError(f"no blob {name} in {self.place}; materialise the asset that makes it again") from error
        found = hashlib.sha256(content).hexdigest()
        if found != name:
            raise StorageError(
                f"blob {name} in {self.place} holds {found}: it was changed; remove it and make it again"
            )
        return content

    def first_bytes(self, name: str, length: int) -> bytes:
        """The first bytes of the blob, which are not verified; the rest is not read.

        Raises:
            StorageError: the blob does not exist, or cannot be read.
        """
        return self._all.read(_key(name), length=length)

    def has(self, name: str) -> bool:
        """Whether the blob exists."""
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Size of the blob in bytes, None where it does not exist; the bytes are not read."""
        if self.objects is not None:
            found = self.objects.stat(_key(name))
            return None if found is None else found.size
        path = self.root / _key(name)
        return path.stat().st_size if path.is_file() else None

    def path(self, name: str) -> Path:
        """The file of the blob, which need not exist; one on a store is downloaded and cached by its content.

        Raises:
            StorageError: the name is not a SHA-256, so it could lead out of the root; or a store lacks the blob.
        """
        path = self.root / _key(name)
        if self.objects is not None and not path.exists():
            write_whole(path, self.get(name))
        return path

    def refs(self) -> dict[str, str]:
        """The blob that each ref points at; without an application, of all (`<application>/<ref>`), in order."""
        prefix = "/".join(part for part in (REFS, self.application) if part)
        found = {}
        for one in self._all.walk(prefix):
            target = self._all.get(one.key)
            if target is not None:
                found[one.key.removeprefix(f"{prefix}/")] = target.content.decode(errors="replace")
        return found

    def entries(self) -> Iterator[Object]:
        """The objects that have the name and the place of a blob; whatever else lies there is not listed."""
        for one in self._all.walk():
            name = one.key.rpartition("/")[2]
            is_own = is_blob_name(name) and one.key == _key(name)
            if is_own and not (self.objects is None and (self.root / one.key).is_symlink()):
                yield one

    def remove(self, name: str, *, unless_after: datetime) -> bool:
        """Removes a blob unless it was written, or written again, after a time; returns whether it was removed.

        Args:
            name: of the blob.
            unless_after: UTC; the time at which `entries` listed it as modified.
        """
        key = _key(name)
        if self.objects is not None:
            found = self.objects.stat(key)
            if found is None or found.modified_at > unless_after:
                return False
            self.objects.delete(key)
            return True
        path = self.root / key
        with held(self.root / LOCK), suppress(FileNotFoundError):
            if not path.is_symlink() and datetime.fromtimestamp(path.stat().st_mtime, UTC) <= unless_after:
                path.unlink()
                return True
        return False

    @property
    def _all(self) -> Objects:
        return self.objects or FolderObjects(str(self.root))

    def _content(self, name: str) -> bytes:
        return self.objects.read(_key(name)) if self.objects is not None else (self.root / _key(name)).read_bytes()

    def _ref(self, ref: str) -> Path:
        return refs_root(self.root, self.application) / _require_ref(ref)

    def _ref_key(self, ref: str) -> str:
        return "/".join(part for part in (REFS, self.application, _require_ref(ref)) if part)


def blobs_of(home: Path, region: str, application: str = "", *, reader: str | None = None) -> BlobStore:
    """The blobs of a region of a home, in a folder or on a store.

    Args:
        home: home of the region.
        region: region of the blobs.
        application: application of the refs.
        reader: region whose credentials open a store; None for the region itself.

    Raises:
        StorageError: the reader has no credentials at the region's store.
    """
    root = root_of(home, region)
    if root.is_local:
        return BlobStore(Path(root.uri) / BLOBS, application)
    objects = open_objects(f"{root.uri}/{BLOBS}", access_options(home, region, reader=reader))
    return BlobStore(home / "cache" / BLOBS / region, application, objects=objects)


def blob_stores(home: Path) -> Iterator[BlobStore]:
    """The blobs of each region of a home, those in folders first."""
    yield from (BlobStore(folder) for folder in blobs_folders(home))
    yield from (blobs_of(home, region) for region in stored_roots(home))


def _require_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StorageError(f"{name!r} is no blob's name (allowed: 64 hex digits of a SHA-256)")
    return name


def _require_ref(ref: str) -> str:
    if not _REF.fullmatch(ref):
        raise StorageError(f"{ref!r} is no ref (allowed: words of a-z, 0-9 and _, joined by /)")
    return ref


def _key(name: str) -> str:
    """The key of a blob below the root."""
    return f"{_require_name(name)[:2]}/{name}"
