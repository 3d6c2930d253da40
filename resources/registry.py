"""`registry`: the registered models, their aliases, and the address of their pages."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import dagster as dg

from resources.reads import this_step
from resources.settings import settings
from resources.writes import BLOBS_FOLDER
from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry import versions
from sinet_pipelines.registry.alias import CHAMPION, named_by
from sinet_pipelines.registry.origin import origin_of
from sinet_pipelines.registry.tracking import Tracking, tracking_of
from sinet_pipelines.registry.versions import Version
from sinet_pipelines.storage.blobs import BlobStore, is_blob_name
from sinet_pipelines.storage.layout import sqlite_path


class RegistryResource(dg.ConfigurableResource):
    """MLflow's registry of models; MLflow itself is imported by the first step that asks it.

    Attributes:
        tracking_uri: the store of models, `sqlite:///<home>/mlflow.db` or a server's address.
        artifact_root: URI under which experiments keep their files.
        lock: file by which the processes of one home take turns.
        ui_url: address of MLflow's pages, empty while nobody serves them.
    """

    tracking_uri: str
    artifact_root: str
    lock: str
    ui_url: str = ""

    @cached_property
    def tracking(self) -> Tracking:
        """The store, for what is not said here."""
        return Tracking(self.tracking_uri, self.artifact_root, Path(self.lock))

    def register(
        self,
        name: str,
        content: bytes,
        *,
        family: str,
        run_id: str,
        file: str = versions.MODEL_FILE,
        tags: Mapping[str, str] | None = None,
        alias: str | None = None,
    ) -> Version:
        """The one version of this content, made if it is not there, with the alias if one is given."""
        version = versions.register(
            self.tracking,
            name,
            content,
            family=family,
            run_id=run_id,
            file=file,
            tags=tags,
            first_tags=origin_of(settings().project).tags,
            alias=alias,
        )
        if step := this_step():
            step.writes.versions[f"{version.name}/{version.version}"] = version.sha256
        return version

    def keep_beside(self, version: Version, files: Mapping[str, bytes]) -> None:
        """Puts files beside the version's own, where MLflow's pages show them; one of the same name is replaced."""
        versions.keep_beside(self.tracking, version, files)

    def set_alias(self, name: str, version: int, *, alias: str = CHAMPION) -> Version:
        """Gives the version the alias, taking it from the one that had it."""
        return versions.set_alias(self.tracking, name, version, alias=alias)

    def champion(self, name: str) -> Version | None:
        """The version that serves, None where none does."""
        return versions.get_champion(self.tracking, name)

    def last_promoted(self, name: str) -> Version | None:
        """The version that was promoted last, whether or not it has the alias now; None where none ever was."""
        return versions.last_promoted(self.tracking, name)

    def why_not(self, name: str) -> str:
        """Why the version that the champion's alias names cannot be served; empty where it can."""
        database = sqlite_path(self.tracking_uri)
        return "" if database is None else named_by(database.parent, name).reason

    def load(self, version: Version) -> bytes:
        """The version's file, checked against the hash it was registered under; from a blob where MLflow lost it.

        Raises:
            StorageError: it is lost, and no region has its blob.
        """
        try:
            return versions.load_artifact(self.tracking, version)
        except StorageError:
            for folder in sorted((Path(self.lock).parent / BLOBS_FOLDER).glob("*")):
                if is_blob_name(version.sha256) and BlobStore(folder).has(version.sha256):  # a tag may be edited
                    return BlobStore(folder).get(version.sha256)
            raise

    def version_url(self, version: Version) -> str:
        """Address of the version's page, empty while nobody serves it."""
        return f"{self.ui_url}/#/models/{version.name}/versions/{version.version}" if self.ui_url else ""


def registry_resource(home: Path, *, ui_url: str = "") -> RegistryResource:
    """The embedded registry of a home."""
    embedded = tracking_of(home)
    return RegistryResource(
        tracking_uri=embedded.uri, artifact_root=embedded.artifact_root, lock=str(embedded.lock), ui_url=ui_url
    )
