"""The places of a home's data: the root of each region, a folder or a prefix of a store, with its tables and blobs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.schemas.contract import DataClass, TableName
from sinet_pipelines.storage.blobs import BlobStore, blobs_of
from sinet_pipelines.storage.layout import CLASSES
from sinet_pipelines.storage.objects import Objects, open_objects
from sinet_pipelines.storage.roots import access_options, root_of
from sinet_pipelines.storage.tables import TableStore, tables_of


@dataclass(frozen=True)
class Place:
    """One region of a home.

    Attributes:
        home: the home.
        region: name of the region.
    """

    home: Path
    region: str

    @property
    def objects(self) -> Objects:
        """The objects under its root.

        Raises:
            StorageError: this machine has no credentials at its store.
        """
        return open_objects(root_of(self.home, self.region).uri, access_options(self.home, self.region))

    @property
    def is_local(self) -> bool:
        """Whether its root is a folder."""
        return root_of(self.home, self.region).is_local

    def is_link(self, key: str) -> bool:
        """Whether a key below the root of a folder leads over a symbolic link, which a person made."""
        if not self.is_local:
            return False
        root = Path(root_of(self.home, self.region).uri)
        path = root / key
        return any(one.is_symlink() for one in (path, *path.parents) if one != root and one.is_relative_to(root))

    def blobs(self, application: str = "") -> BlobStore:
        """Its blobs, with the refs of one application or of all."""
        return blobs_of(self.home, self.region, application)

    def tables(self, application: str) -> TableStore:
        """Its tables of an application."""
        return tables_of(self.home, self.region, application)

    def folders(self) -> Iterator[Path]:
        """The folders of a root that is a folder: of each class, of its applications and of their tables."""
        objects, root = self.objects, Path(root_of(self.home, self.region).uri)
        for data_class in CLASSES:
            yield root / data_class
            for application in objects.children(data_class).folders:
                yield root / data_class / application
                for name in objects.children(f"{data_class}/{application}").folders:
                    yield root / data_class / application / name

    def table_names(self) -> Iterator[tuple[str, TableName]]:
        """Application and name of each folder in which a table may be."""
        objects = self.objects
        for data_class in CLASSES:
            for application in objects.children(data_class).folders:
                for name in objects.children(f"{data_class}/{application}").folders:
                    yield application, TableName(name, DataClass(data_class))


def places_of(home: Path, regions: Iterable[str]) -> list[Place]:
    """The regions of a home."""
    return [Place(home, region) for region in regions]
