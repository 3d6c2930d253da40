"""Writes a home into one archive and restores it: consistent, atomic, with a checksum of every file.

Files that refer to other files are copied first: databases and refs, then table logs, then data files, which never
change after they are listed. So every concurrent write is in the copy completely or not at all. SQLite itself copies
its databases.
"""

import glob
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.storage.aside import ASIDE
from sinet_pipelines.storage.layout import LANDING

FORM = 1
MANIFEST = "manifest.json"
FOLDER = "home"  # the home's files in the archive
_CHUNK = 1 << 20
_SQLITE = b"SQLite format 3\x00"

#: Files of one process, of one machine or of one home (a restored home counts the periods of retention anew), and
#: files that are made again when needed.
LEFT_OUT = re.compile(
    rf"(^|/)({re.escape(ASIDE)}/|cache/|server-[^/]*\.(json|log)$|current\.json$|[^/]*\.lock$|\.lock$|\.[^/]+\.[^/]*$"
    r"|\.?retention_home$|retention\.json$"
    r"|[^/]*\.(partial|new)$|[^/]*\.db-(wal|shm|journal)$|__pycache__/)"
)
_FIRST = (re.compile(r".*\.db$"), re.compile(r"^[^/]+/blobs/refs/"), re.compile(r"/_delta_log/"))


@dataclass(frozen=True)
class Backup:
    """The content of an archive.

    Attributes:
        home: name of the home's folder.
        created_at: UTC, to the second.
        files: SHA-256 and size in bytes by path in the home.
        form: format of the archive.
    """

    home: str
    created_at: str
    files: Mapping[str, tuple[str, int]]
    form: int = FORM

    @property
    def size(self) -> int:
        """Total size of all files in bytes."""
        return sum(size for _, size in self.files.values())


def write_backup(home: Path, target: Path) -> tuple[Path, Backup]:
    """Writes the archive of a home; returns its path and its content.

    The caller holds the lock of the home, so that no run is active.

    Args:
        home: the home to copy.
        target: a new file, or a folder for a file named after the home and the time.

    Raises:
        UsageError: the target exists already, or is in the home.
        StorageError: a file cannot be read, or the archive cannot be written; no partial file remains.
    """
    now = datetime.now(UTC)
    path = target / f"{home.name}-{now:%Y%m%dT%H%M%SZ}.tar" if target.is_dir() else target
    if path.exists():
        raise UsageError(f"{path} is there already; name another file")
    if home.resolve() in path.resolve().parents:
        raise UsageError(f"{path} lies in the home that it is to hold; name a place outside of {home}")
    files: dict[str, tuple[str, int]] = {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            left.unlink()  # left by a killed backup
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        partial = Path(name)
        try:
            with (
                os.fdopen(handle, "wb") as file,
                tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for relative in _in_order(home):
                    with _source(home / relative) as source:
                        if source is not None:
                            files[relative] = _add(tar, f"{FOLDER}/{relative}", source)
                found = Backup(home.name, f"{now:%Y-%m-%dT%H:%M:%SZ}", files)
                _add(tar, MANIFEST, io.BytesIO(json.dumps(asdict(found), indent=1).encode()))
                tar.close()
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"the backup {path} was not written: {error}; mend that and try again") from error
    return path, found


def read_manifest(archive: Path) -> Backup:
    """The content of an archive according to its manifest.

    Raises:
        UsageError: the file is not an archive of a home.
    """
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MANIFEST)
            plain = json.loads(member.read()) if member is not None else None
        return _backup(plain)
    except FileNotFoundError as error:
        raise UsageError(f"no file {archive}; name one that `sinet backup` wrote") from error
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError, EOFError) as error:
        raise UsageError(
            f"{archive} is no whole archive of a home ({error}); name one that `sinet backup` wrote"
        ) from error


def restore_backup(archive: Path, home: Path) -> Backup:
    """Restores a home from an archive: every file is compared with its checksum before the home gets its name.

    Args:
        archive: an archive of `write_backup`.
        home: a folder that does not exist or is empty.

    Raises:
        UsageError: the home exists, or the file is not an archive of a home.
        StorageError: a file of the archive is missing or damaged, or the home cannot be written; no home remains.
    """
    found = read_manifest(archive)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise UsageError(f"{home} is there already, and a restore overwrites nothing; name another with --home")
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        for left in home.parent.glob(f".{glob.escape(home.name)}.restoring-*"):
            shutil.rmtree(left)  # left by a killed restore
        partial = Path(tempfile.mkdtemp(prefix=f".{home.name}.restoring-", dir=home.parent))
        try:
            partial.chmod(0o755)
            _extract(archive, partial, found)
            if home.exists():
                home.rmdir()
            partial.rename(home)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise StorageError(f"{home} was not restored from {archive}: {error}; nothing of it is left") from error
    return found


def _extract(archive: Path, folder: Path, found: Backup) -> None:
    left = dict(found.files)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix(f"{FOLDER}/")
            if member.name == MANIFEST:
                continue
            if name not in left or not member.isfile() or name == member.name or ".." in Path(name).parts:
                raise StorageError(
                    f"{archive} holds {member.name!r}, which its manifest does not list; nothing is left"
                )
            sha256, size = left.pop(name)
            source = tar.extractfile(member)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with target.open("xb") as file:
                while source is not None and (chunk := source.read(_CHUNK)):
                    digest.update(chunk)
                    file.write(chunk)
                written = file.tell()
            if (digest.hexdigest(), written) != (sha256, size):
                raise StorageError(
                    f"{name} in {archive} is damaged: other bytes than its manifest lists; nothing is left"
                )
    if left:
        raise StorageError(
            f"{archive} lacks {len(left)} files of its manifest, {next(iter(left))} first; nothing is left"
        )


def _in_order(home: Path) -> list[str]:
    """The home's files; files that refer to others come first."""
    found = []
    for folder, names, files in os.walk(home):
        names.sort()
        for name in files:
            path = Path(folder) / name
            relative = path.relative_to(home).as_posix()
            if not _is_left_out(relative) and path.is_file() and not path.is_symlink():
                found.append(relative)
    return sorted(found, key=lambda relative: (_rank(relative), relative))


def _is_left_out(relative: str) -> bool:
    """Whether a file belongs to one process or is made again when needed.

    Files and folders of a landing zone may have any name; only those that begin with a dot are left out, as incomplete.
    """
    if Path(relative).parts[1:2] == (LANDING,):
        return Path(relative).name.startswith(".")
    return LEFT_OUT.search(relative) is not None


def _rank(relative: str) -> int:
    return next((rank for rank, pattern in enumerate(_FIRST) if pattern.search(relative)), len(_FIRST))


@contextmanager
def _source(path: Path) -> Iterator[IO[bytes] | None]:
    """The bytes of a file, a database as one consistent copy; None for a file that was removed meanwhile."""
    if path.suffix == ".db" and _is_sqlite(path):
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / path.name
            with (
                closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            with copy.open("rb") as file:
                yield file
        return
    try:
        opened = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with opened:
        yield opened


def _is_sqlite(path: Path) -> bool:
    """Whether the file is a SQLite database; Feast's registry has the same suffix but is not one."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except FileNotFoundError:
        return False


class _Hashed(io.RawIOBase):
    """A source that hashes what is read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self.source.read(size)
        self.digest.update(chunk)
        return chunk


def _add(tar: tarfile.TarFile, name: str, source: IO[bytes]) -> tuple[str, int]:
    source.seek(0, os.SEEK_END)
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = source.tell(), 0o644
    source.seek(0)
    hashed = _Hashed(source)
    tar.addfile(entry, hashed)
    return hashed.digest.hexdigest(), entry.size


def _backup(plain: Any) -> Backup:
    if plain["form"] != FORM:
        raise ValueError(f"form {plain['form']}, known is {FORM}")
    files = {str(name): (str(sha256), int(size)) for name, (sha256, size) in plain["files"].items()}
    return Backup(str(plain["home"]), str(plain["created_at"]), files)
