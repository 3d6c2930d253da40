"""Files of a model's version: the graph, files beside it, and those for MLflow's own loaders."""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sinet_pipelines.errors import ModelNotFoundError, StorageError
from sinet_pipelines.registry.alias import SOURCE
from sinet_pipelines.registry.loader_files import MLMODEL, loader_files
from sinet_pipelines.registry.runs import keep_files
from sinet_pipelines.registry.tracking import Tracking
from sinet_pipelines.registry.version import FILE_TAG, MODEL_FILE, Version
from sinet_pipelines.storage.files import write_whole

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def version_folder(sha256: str) -> str:
    """The folder of a version's file among the artifacts of its run."""
    return f"models/{sha256[:16]}"


def load_artifact(tracking: Tracking, version: Version) -> bytes:
    """The bytes of the version's file, verified by the hash in its folder's name, since users may edit tags and runs.

    Raises:
        ModelNotFoundError: the version was registered by hand and has no file of the platform.
        StorageError: the file is gone, or its bytes differ from the registered ones.
    """
    named = SOURCE.search(version.source)
    if named is None:
        raise ModelNotFoundError(
            f"{version.name} version {version.version} was registered by hand and has no graph of the platform; "
            "register its bytes instead"
        )
    content = _read_file(tracking, version, folder=f"models/{named['sha256']}")
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(named["sha256"]):
        raise StorageError(
            f"{version.name} version {version.version} has SHA-256 {found[:16]} (registered: {named['sha256']}): its "
            "file was changed; restore it or register the model again"
        )
    return content


def keep_beside(tracking: Tracking, version: Version, files: Mapping[str, bytes]) -> None:
    """Stores files beside the version's file; replaces files with the same name.

    Raises:
        StorageError: MLflow or the disk could not write them.
    """
    folder = SOURCE.search(version.source)
    if folder and version.source.startswith("file:"):
        for name, content in files.items():
            write_whole(Path(unquote(urlsplit(version.source).path)) / name, content)
        return
    with tracking.alone() as client:
        place = f"models/{folder['sha256']}" if folder else f"models/v{version.version}"
        keep_files(client, version.run_id, {f"{place}/{name}": content for name, content in files.items()})


def _read_file(tracking: Tracking, version: Version, *, folder: str) -> bytes:
    """The bytes of the version's file: from its folder on this machine, or else through MLflow."""
    from mlflow.exceptions import MlflowException

    name = version.tags.get(FILE_TAG, MODEL_FILE)
    try:
        if version.source.startswith("file:"):
            place = Path(unquote(urlsplit(version.source).path))
            return _file_in(place, name).read_bytes()
        with tempfile.TemporaryDirectory() as scratch:
            path = tracking.client.download_artifacts(version.run_id, f"{folder}/{name}", scratch)
            return Path(path).read_bytes()
    except (MlflowException, OSError) as error:
        raise StorageError(
            f"{folder} of {version.name} version {version.version} is gone from run {version.run_id}; `sinet run` "
            "registers it again"
        ) from error


def _file_in(folder: Path, name: str) -> Path:
    """The path of the version's file: of this name, or the only graph, since a user may have edited the tag `file`."""
    graphs = sorted(folder.glob(f"*{Path(MODEL_FILE).suffix}"))
    named = folder / Path(name).name
    return named if named.is_file() or len(graphs) != 1 else graphs[0]


def ensure_loader_files(client: "MlflowClient", versions: Iterable["ModelVersion"]) -> None:
    """Adds the files for MLflow's own loaders to versions on this machine: earlier releases stored the graph alone."""
    for version in versions:
        folder = SOURCE.search(version.source or "")
        place = Path(unquote(urlsplit(version.source or "").path))
        if folder is None or not version.source.startswith("file:") or (place / MLMODEL).exists():
            continue
        graph = _file_in(place, version.tags.get(FILE_TAG, MODEL_FILE))
        files = loader_files(graph.read_bytes(), file=graph.name) if graph.is_file() else {}
        for name, content in files.items():
            write_whole(place / name, content)


def ensure_file(client: "MlflowClient", version: "ModelVersion", *, file: str, content: bytes) -> None:
    """Restores the version's file where it is missing or damaged; the version's run may be deleted."""
    from mlflow.exceptions import MlflowException

    if version.source.startswith("file:"):
        place = Path(unquote(urlsplit(version.source).path)) / file
        if not place.is_file() or place.read_bytes() != content:
            write_whole(place, content)
        return
    path = f"{version_folder(hashlib.sha256(content).hexdigest())}/{file}"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            is_whole = Path(client.download_artifacts(version.run_id, path, scratch)).read_bytes() == content
        except (MlflowException, OSError):
            is_whole = False
    if not is_whole:
        keep_files(client, version.run_id, {path: content})
