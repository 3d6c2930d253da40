"""Versions of models in MLflow's registry: one for each content, with an alias on the version that serves.

A version is identified by the SHA-256 of its file, which is stored under that name in the artifacts of its run.
Registering the same bytes again returns the existing version. `Tracking.lock` orders the writes of one home's
processes alone; homes on several machines share only MLflow's database.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sinet_pipelines.errors import ModelNotFoundError
from sinet_pipelines.registry.alias import CHAMPION
from sinet_pipelines.registry.loader_files import loader_files
from sinet_pipelines.registry.runs import keep_files, live_run
from sinet_pipelines.registry.tracking import Tracking
from sinet_pipelines.registry.version import (
    FAMILY_TAG,
    FILE_TAG,
    MODEL_FILE,
    SHA_TAG,
    Version,
    is_of,
    read_version,
)
from sinet_pipelines.registry.version_files import ensure_file, ensure_loader_files, version_folder
from sinet_pipelines.storage.commits import before_commit

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PROMOTED_TAG = "{alias}.promoted_at"  # on a version: the time it last got the alias, UTC
GIVEN_TAG = "{alias}.given"  # on a version: its promotion was completed
REPLACED_TAG = "{alias}.replaced"  # on a version: the number of the version that had the alias before, empty for none


@dataclass(frozen=True)
class Promotion:
    """A promotion: a version received an alias.

    Attributes:
        version: number of the promoted version.
        replaced: number of the version that had the alias before; None for none.
        promoted_at: time of the promotion, UTC.
    """

    version: int
    replaced: int | None
    promoted_at: datetime


def register(
    tracking: Tracking,
    name: str,
    content: bytes,
    *,
    family: str,
    run_id: str,
    file: str = MODEL_FILE,
    tags: Mapping[str, str] | None = None,
    first_tags: Mapping[str, str] | None = None,
    alias: str | None = None,
) -> Version:
    """The one version of this content, created if it does not exist; it receives the alias, if one is passed.

    Only what is missing is written, so that the call can be repeated after a kill at any point.

    Args:
        tracking: the store of models.
        name: name of the registered model.
        content: bytes of the model's file.
        family: kind of model.
        run_id: id of the finished run that made it; its artifacts contain the file.
        file: name of the file.
        tags: tags of the version; an existing version gets them too.
        first_tags: tags of a new version alone, for facts about its making.
        alias: the alias that the version receives; None for none.

    Raises:
        StorageError: MLflow or the disk could not write.
        UsageError: the experiment of recovered runs was deleted by hand.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    with tracking.alone() as client:
        before_commit()
        _ensure_model(client, name)
        run_id = live_run(client, run_id, root=tracking.artifact_root)
        versions = _all_pages(client, f"name = '{name}'")
        ensure_loader_files(client, versions)
        found = [one for one in versions if is_of(one, sha256)]
        if found:
            version = min(found, key=lambda v: int(v.version))
            ensure_file(client, version, file=file, content=content)
            own = {SHA_TAG: sha256, FAMILY_TAG: family, FILE_TAG: file}
            for key, value in {**(tags or {}), **own}.items():
                if version.tags.get(key) != value:
                    client.set_model_version_tag(name, version.version, key, value)
        else:
            files = {file: content, **loader_files(content, file=file)}
            keep_files(client, run_id, {f"{version_folder(sha256)}/{path}": one for path, one in files.items()})
            client.set_tag(run_id, SHA_TAG, sha256)
            all_tags = {**(first_tags or {}), **(tags or {}), SHA_TAG: sha256, FAMILY_TAG: family, FILE_TAG: file}
            source = f"{client.get_run(run_id).info.artifact_uri}/{version_folder(sha256)}"
            version = client.create_model_version(name, source, run_id=run_id, tags=all_tags)
        if alias is not None:
            _set_alias(client, name, int(version.version), alias=alias)
        return _get(client, name, int(version.version))


def set_alias(tracking: Tracking, name: str, version: int, *, alias: str = CHAMPION) -> Version:
    """Moves the alias to the version; returns the version as it is afterwards.

    Raises:
        ModelNotFoundError: there is no such model or version.
    """
    with tracking.alone() as client:
        before_commit()
        _get(client, name, version)
        _set_alias(client, name, version, alias=alias)
        return _get(client, name, version)


def get_champion(tracking: Tracking, name: str, *, alias: str = CHAMPION) -> Version | None:
    """The version with the alias; None where no existing version has it, or the model is not registered.

    An alias may remain after its version: some releases of MLflow's server delete the version alone.
    """
    version = _aliases(tracking.client, name).get(alias)
    return next((one for one in list_versions(tracking, name) if one.version == version), None)


def get_version(tracking: Tracking, name: str, version: int) -> Version:
    """The version of this number.

    Raises:
        ModelNotFoundError: there is no such model or version.
    """
    return _get(tracking.client, name, version)


def list_versions(tracking: Tracking, name: str | None = None) -> list[Version]:
    """All versions of one model, or of all models, by name and number."""
    condition = "" if name is None else f"name = '{name}'"
    found = _all_pages(tracking.client, condition)
    aliases = {model: _aliases(tracking.client, model) for model in sorted({version.name for version in found})}
    versions = [read_version(version, aliases[version.name]) for version in found]
    return sorted(versions, key=lambda version: (version.name, version.version))


def promotions(tracking: Tracking, name: str, *, alias: str = CHAMPION) -> list[Promotion]:
    """The last promotion of each version that ever had the alias, oldest first."""
    promoted, replaced = PROMOTED_TAG.format(alias=alias), REPLACED_TAG.format(alias=alias)
    found = [
        Promotion(
            version.version,
            int(version.tags[replaced]) if version.tags[replaced] else None,
            datetime.fromisoformat(version.tags[promoted]),
        )
        for version in list_versions(tracking, name)
        if promoted in version.tags
    ]
    return sorted(found, key=lambda promotion: promotion.promoted_at)


def last_promoted(tracking: Tracking, name: str, *, alias: str = CHAMPION) -> Version | None:
    """The version that received the alias last, whether or not it still has it; None where none ever did."""
    had = [get_version(tracking, name, promotion.version) for promotion in promotions(tracking, name, alias=alias)]
    return next((version for version in reversed(had) if GIVEN_TAG.format(alias=alias) in version.tags), None)


def _ensure_model(client: "MlflowClient", name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)


def _set_alias(client: "MlflowClient", name: str, version: int, *, alias: str) -> None:
    """Writes the time and the former version as tags, then moves the alias; can be repeated after a kill."""
    holder = _aliases(client, name).get(alias)
    if holder != version:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        client.set_model_version_tag(name, str(version), PROMOTED_TAG.format(alias=alias), at)
        client.set_model_version_tag(name, str(version), REPLACED_TAG.format(alias=alias), str(holder or ""))
        client.set_registered_model_alias(name, alias, str(version))
    client.set_model_version_tag(name, str(version), GIVEN_TAG.format(alias=alias), "true")


def _aliases(client: "MlflowClient", name: str) -> dict[str, int]:
    """The version number by alias; empty where the model is not registered."""
    for model in client.search_registered_models(f"name = '{name}'"):
        return {alias: int(version) for alias, version in model.aliases.items()}
    return {}


def _get(client: "MlflowClient", name: str, version: int) -> Version:
    found = _all_pages(client, f"name = '{name}'")
    for candidate in found:
        if int(candidate.version) == version:
            return read_version(candidate, _aliases(client, name))
    there = ", ".join(str(v.version) for v in found) or "none"
    raise ModelNotFoundError(f"{name} has no version {version} (there is: {there}); `sinet status` lists its versions")


def _all_pages(client: "MlflowClient", condition: str) -> list["ModelVersion"]:
    found, token = [], None
    while True:
        page = client.search_model_versions(condition, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
