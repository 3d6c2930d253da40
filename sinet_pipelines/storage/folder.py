"""Objects in a folder of this machine: one file each, written atomically; conditional writes lock the folder."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sinet_pipelines.errors import AbsentError, ConflictError, StorageError
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.locks import held
from sinet_pipelines.storage.objects import Children, Object, Tagged, is_listed, require_key

_LOCK = ".objects.lock"
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # a file system without hard links


@dataclass(frozen=True)
class FolderObjects:
    """The files below a folder; each method as in `Objects`.

    Attributes:
        root: path of the folder, which is made with the first object.
    """

    root: str

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return Path(self.root)

    def walk(self, prefix: str = "") -> Iterator[Object]:
        """All files below a folder of the root, in the order of their keys; links to folders are not followed."""
        found = self._files(self._path(prefix) if prefix else Path(self.root))
        yield from sorted(found, key=lambda one: one.key)

    def children(self, prefix: str = "") -> Children:
        """The folders and files directly below a folder of the root; a link to a folder counts as a folder."""
        folders, files = [], []
        for entry in self._entries(self._path(prefix) if prefix else Path(self.root)):
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file() and (state := _stat(entry)) is not None:
                files.append(_object(self._key(entry), state))
        return Children(tuple(sorted(folders)), tuple(sorted(files, key=lambda one: one.key)))

    def stat(self, key: str) -> Object | None:
        """The object as `walk` returns it, None where there is no file."""
        try:
            state = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failure(key, error) from error
        return None if stat.S_ISDIR(state.st_mode) else _object(key, state)

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Its bytes from `start` on."""
        with self.open(key) as (_, file):
            file.seek(start)
            return file.read(-1 if length is None else length)

    def get(self, key: str) -> Tagged | None:
        """Its bytes and their tag, the SHA-256 of the bytes."""
        try:
            content = self.read(key)
        except AbsentError:
            return None
        return Tagged(content, hashlib.sha256(content).hexdigest())

    @contextmanager
    def open(self, key: str) -> Iterator[tuple[Object, BinaryIO]]:
        """The present file; a replacement has another inode, so the bytes of the opened file do not change."""
        try:
            file = self._path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise AbsentError(f"there is no {key} in {self.root}; write it first") from error
        except OSError as error:
            raise self._failure(key, error) from error
        with file:
            yield _object(key, os.fstat(file.fileno())), file

    def put(self, key: str, content: bytes) -> None:
        """Writes the file in one step."""
        write_whole(self._path(key), content)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Writes the file unless it exists: it makes a hard link to the complete file, which fails if one exists."""
        path = self._path(key)
        whole = path.parent / f".{path.name}.{secrets.token_hex(4)}.new"
        write_whole(whole, content)
        try:
            os.link(whole, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise self._failure(key, error) from error
            return self._rename_if_absent(whole, path)
        finally:
            whole.unlink(missing_ok=True)
        return True

    def swap(self, key: str, content: bytes, *, tag: str) -> str:
        """Replaces the bytes with this tag; all swaps and deletions of the root are mutually exclusive."""
        with held(Path(self.root) / _LOCK):
            found = self.get(key)
            if found is None or found.tag != tag:
                why = "was deleted" if found is None else "was changed"
                raise ConflictError(f"{key} in {self.root} {why} by another writer; read it again and repeat")
            self.put(key, content)
        return hashlib.sha256(content).hexdigest()

    def delete(self, key: str) -> None:
        """Deletes the file."""
        path = self._path(key)
        if not path.exists():
            return
        with held(Path(self.root) / _LOCK):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise self._failure(key, error) from error

    def _path(self, key: str) -> Path:
        return Path(self.root) / require_key(key)

    def _files(self, folder: Path) -> Iterator[Object]:
        for entry in self._entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(Path(entry.path))
            elif entry.is_file() and (state := _stat(entry)) is not None:
                yield _object(self._key(entry), state)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as found:
                return [entry for entry in found if is_listed(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageError(f"{folder} cannot be listed: {error.strerror}; make it readable") from error

    def _key(self, entry: os.DirEntry[str]) -> str:
        return Path(entry.path).relative_to(self.root).as_posix()

    def _rename_if_absent(self, whole: Path, path: Path) -> bool:
        with held(Path(self.root) / _LOCK):
            if path.exists():
                return False
            whole.replace(path)
            return True

    def _failure(self, key: str, error: OSError) -> StorageError:
        return StorageError(f"{key} in {self.root} cannot be used: {error.strerror}; make it a readable file")


def _object(key: str, state: os.stat_result) -> Object:
    age = f"{state.st_dev}-{state.st_ino}-{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"
    return Object(key, state.st_size, age, datetime.fromtimestamp(state.st_mtime, UTC))


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except FileNotFoundError:  # removed after the listing
        return None
