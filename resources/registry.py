"""`registry`: the registered models, their aliases, and the addresses of their pages."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import dagster as dg

from resources.reads import this_step
from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry import version_files, versions
from sinet_pipelines.registry.alias import CHAMPION, named_by
from sinet_pipelines.registry.origin import origin_of
from sinet_pipelines.registry.tracking import Tracking, tracking_of
from sinet_pipelines.registry.version import MODEL_FILE, Version
from sinet_pipelines.storage.blobs import blob_stores, is_blob_name
from sinet_pipelines.storage.layout import sqlite_path


class RegistryResource(dg.ConfigurableResource):
    """MLflow's model registry; the first step that uses it imports MLflow.

    Attributes:
        tracking_uri: the store of models, `sqlite:///<home>/mlflow.db` or a server's address.
        artifact_root: URI of the folder with the files of experiments.
        lock: file that lets one process of a home at a time write.
        ui_url: address of MLflow's UI; empty while it is not open.
        project: the checkout whose commit the tags name; the working directory, if empty.
    """

    tracking_uri: str
    artifact_root: str
    lock: str
    ui_url: str = ""
    project: str = ""

    @cached_property
    def tracking(self) -> Tracking:
        """The store, for calls that this resource does not have."""
        return Tracking(self.tracking_uri, self.artifact_root, Path(self.lock))

    def register(
        self,
        name: str,
        content: bytes,
        *,
        family: str,
        run_id: str,
        file: str = MODEL_FILE,
        tags: Mapping[str, str] | None = None,
        alias: str | None = None,
    ) -> Version:
        """The one version of this content, created if it does not exist; it receives the alias, if one is passed."""
        version = versions.register(
            self.tracking,
            name,
            content,
            family=family,
            run_id=run_id,
            file=file,
            tags=tags,
            first_tags=origin_of(Path(self.project)).tags,
            alias=alias,
        )
        if step := this_step():
            step.writes.versions[f"{version.name}/{version.version}"] = version.sha256
        return version

    def keep_beside(self, version: Version, files: Mapping[str, bytes]) -> None:
        """Adds files to the version's artifacts, where MLflow's UI shows them; replaces files of the same name."""
        version_files.keep_beside(self.tracking, version, files)

    def set_alias(self, name: str, version: int, *, alias: str = CHAMPION) -> Version:
        """Moves the alias to the version."""
        return versions.set_alias(self.tracking, name, version, alias=alias)

    def champion(self, name: str) -> Version | None:
        """The version that serves; None where there is none."""
        return versions.get_champion(self.tracking, name)

    def last_promoted(self, name: str) -> Version | None:
        """The version that was promoted last, with or without the alias now; None where none ever was."""
        return versions.last_promoted(self.tracking, name)

    def why_not(self, name: str) -> str:
        """Why the version with the champion alias cannot be served; empty where it can."""
        database = sqlite_path(self.tracking_uri)
        return "" if database is None else named_by(database.parent, name).reason

    def load(self, version: Version) -> bytes:
        """The version's file, verified by its registered hash; read from a blob where MLflow lost it.

        Raises:
            StorageError: it is lost, and no region has its blob.
        """
        try:
            return version_files.load_artifact(self.tracking, version)
        except StorageError:
            for blobs in blob_stores(Path(self.lock).parent):
                if is_blob_name(version.sha256) and blobs.has(version.sha256):  # users can edit tags
                    return blobs.get(version.sha256)
            raise

    def version_url(self, version: Version) -> str:
        """Address of the version's page; empty while the UI is not open."""
        return f"{self.ui_url}/#/models/{version.name}/versions/{version.version}" if self.ui_url else ""


def registry_resource(home: Path, *, ui_url: str = "", project: str = "") -> RegistryResource:
    """The embedded registry of a home."""
    embedded = tracking_of(home)
    return RegistryResource(
        tracking_uri=embedded.uri,
        artifact_root=embedded.artifact_root,
        lock=str(embedded.lock),
        ui_url=ui_url,
        project=project,
    )
