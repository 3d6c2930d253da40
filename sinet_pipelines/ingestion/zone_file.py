"""One file for a landing zone, in a folder or an object store: its name has a hash of its content; it never changes."""

from dataclasses import dataclass, replace
from pathlib import PurePath, PurePosixPath

from sinet_pipelines.storage.folder import FolderObjects
from sinet_pipelines.storage.objects import Objects


@dataclass(frozen=True)
class ZoneFile:
    """A file of a landing zone, which need not exist.

    Attributes:
        objects: the root of its region.
        key: its name below the root.
    """

    objects: Objects
    key: str

    @property
    def path(self) -> PurePath:
        """Its path on this machine, or its key in the store."""
        path = PurePosixPath(self.key)
        return self.objects.folder / path if isinstance(self.objects, FolderObjects) else path

    @property
    def name(self) -> str:
        """Its name without its folders."""
        return PurePosixPath(self.key).name

    def beside(self, name: str) -> "ZoneFile":
        """The file with another name in the same folder."""
        return replace(self, key=str(PurePosixPath(self.key).with_name(name)))

    def size(self) -> int | None:
        """Its size in bytes, None where there is no such file."""
        found = self.objects.stat(self.key)
        return None if found is None else found.size

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self.size() is not None

    def read(self) -> bytes:
        """Its bytes; raises AbsentError where there is no such file."""
        return self.objects.read(self.key)

    def keep(self, content: bytes) -> None:
        """Writes the file unless it exists; an existing file of another size is incomplete and is replaced.

        Raises:
            StorageError: the disk is full, or the place cannot be reached or written; no partial file remains.
        """
        if not self.objects.put_if_absent(self.key, content) and self.size() != len(content):
            self.objects.put(self.key, content)

    def remove(self) -> None:
        """Removes the file if it exists."""
        self.objects.delete(self.key)
