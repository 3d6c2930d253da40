"""Publishes a version of a model: writes its ONNX graph into the model repository, completely or not at all."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from numpy.typing import NDArray

from sinet_pipelines.deployment.model import open_graph
from sinet_pipelines.deployment.repository import (
    ALIASES_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    MODEL_NAME,
    VERSION,
    Manifest,
    aliases,
    read_manifest,
    read_model,
)
from sinet_pipelines.deployment.tensors import TensorSpec, to_raw
from sinet_pipelines.deployment.triton_config import CONFIG_FILE, WARMUP_FOLDER, config_text
from sinet_pipelines.errors import ModelNotFoundError, ServingError, StorageError, UsageError
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.commits import before_commit
from sinet_pipelines.storage.files import write_whole


def publish_model(
    repository: Path, model: str, *, version: str, onnx: Path, sample: Mapping[str, NDArray], alias: str | None = None
) -> Manifest:
    """Writes an ONNX graph into the repository; a second call with the same graph changes the alias alone.

    Args:
        repository: folder of the model repository, created if necessary.
        model: name of the model: up to 128 letters, digits, `_`, `.` and `-`.
        version: a whole number from 1, as text; the content of a version never changes.
        onnx: path of the graph, in one file.
        sample: one valid row: input name -> (1, ...) array. Every load predicts it and rejects a model that returns
            a value that is not finite.
        alias: name that then refers to this version, such as `champion`; None for no change.

    Raises:
        UsageError: the name, the version or the sample is invalid.
        ServingError: the server could not load the graph.
        StorageError: the version exists with another graph, or the disk failed.
    """
    _check_names(model, version)
    folder = repository / model
    with _storing(folder):
        content = onnx.read_bytes()
        manifest = Manifest(model, version, hashlib.sha256(content).hexdigest(), len(content))
        if not _is_published(repository, manifest):
            _publish_settings(folder, content, sample)
            _publish_version(folder / version, content, manifest)
        if alias is not None:
            name_version(repository, model, version=version, alias=alias)
    return manifest


def clear_damaged(repository: Path, model: str, *, version: str, sha256: str) -> None:
    """Sets aside a published version that is damaged or has another graph, so that it can be published again.

    Only for callers that read the version's content from the registry; a repository alone never changes a version.

    Raises:
        StorageError: the disk failed.
    """
    folder = repository / model
    with _storing(folder):
        try:
            aliases(repository, model)
        except ServingError:
            before_commit()
            set_aside(folder, ALIASES_FILE, why="damaged")
        if not (folder / version).exists():
            return
        try:
            _, manifest = read_model(repository, model, version)
            is_whole = manifest.sha256 == sha256 and (folder / CONFIG_FILE).is_file() and _has_sample(folder)
        except (ServingError, ModelNotFoundError):
            is_whole = False
        if not is_whole:
            before_commit()
            set_aside(folder, version, why="damaged")


def _has_sample(folder: Path) -> bool:
    sample = folder / WARMUP_FOLDER
    return sample.is_dir() and any(path.stat().st_size for path in sample.iterdir())


def name_version(repository: Path, model: str, *, version: str, alias: str) -> None:
    """Makes the alias refer to this version; other aliases stay.

    Raises:
        ModelNotFoundError: there is no such model or version.
        StorageError: the disk failed.
    """
    read_manifest(repository, model, version)
    with _storing(repository / model):
        before_commit()
        write_whole(repository / model / ALIASES_FILE, _dump(aliases(repository, model) | {alias: version}))


def _check_names(model: str, version: str) -> None:
    if not MODEL_NAME.fullmatch(model):
        raise UsageError(f"{model!r} is not a model name (allowed: letters, digits, _ . -, up to 128); choose another")
    if not VERSION.fullmatch(version):
        raise UsageError(f"{version!r} is not a version (allowed: whole numbers from 1); choose another")


def _is_published(repository: Path, wanted: Manifest) -> bool:
    if not (repository / wanted.model / wanted.version / MANIFEST_FILE).exists():
        return False
    found = read_manifest(repository, wanted.model, wanted.version)
    if found.sha256 != wanted.sha256:
        raise StorageError(
            f"version {found.version} of {found.model!r} is published with SHA-256 {found.sha256[:12]}, not "
            f"{wanted.sha256[:12]}; a version never changes, publish the new graph as another version"
        )
    return True


def _publish_settings(folder: Path, content: bytes, sample: Mapping[str, NDArray]) -> None:
    """Writes the configuration and the sample of the newest version, which all versions share."""
    graph = open_graph(content, folder.name)
    _check_sample(graph.inputs, sample)
    before_commit()
    (folder / WARMUP_FOLDER).mkdir(parents=True, exist_ok=True)
    for spec in graph.inputs:
        write_whole(folder / WARMUP_FOLDER / spec.name, to_raw(sample[spec.name], spec.datatype))
    write_whole(folder / CONFIG_FILE, config_text(folder.name, inputs=graph.inputs, outputs=graph.outputs).encode())


def _check_sample(inputs: tuple[TensorSpec, ...], sample: Mapping[str, NDArray]) -> None:
    needed = {spec.name: (1, *spec.shape[1:]) for spec in inputs}
    found = {name: values.shape for name, values in sample.items()}
    if found != needed:
        raise UsageError(f"the sample has {found} (needed: {needed}); pass one valid row for each input of the graph")


def _publish_version(folder: Path, content: bytes, manifest: Manifest) -> None:
    """Writes the version's folder with one rename, so that a reader finds all of it or nothing."""
    unfinished = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    unfinished.mkdir(parents=True)
    try:
        write_whole(unfinished / MODEL_FILE, content)
        write_whole(unfinished / MANIFEST_FILE, _dump(vars(manifest)))
        before_commit()
        _put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(unfinished: Path, folder: Path) -> None:
    if folder.exists() and not (folder / MANIFEST_FILE).exists():
        shutil.rmtree(folder)  # a person made it, or a copy is incomplete; no server can load it
    try:
        unfinished.rename(folder)
    except OSError:
        # another publisher was first; `_is_published` raises if it published another graph
        if not _is_published(folder.parent.parent, Manifest(**json.loads((unfinished / MANIFEST_FILE).read_bytes()))):
            raise


def _dump(content: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(content), indent=2, sort_keys=True).encode()


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{folder} could not be written: {error}; free space or repair the disk and try again"
        ) from error
