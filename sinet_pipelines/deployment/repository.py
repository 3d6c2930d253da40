"""The model repository: a folder in Triton's layout, from which the platform's server and Triton serve the same files.

    <repository>/<model>/config.pbtxt            signature, batch limit, declaration of the warm-up sample
    <repository>/<model>/warmup/<input>          raw bytes of that sample
    <repository>/<model>/aliases.json            alias -> version, as last deployed from the registry
    <repository>/<model>/<version>/model.onnx
    <repository>/<model>/<version>/manifest.json SHA-256 and size of model.onnx, checked at each load

This module reads the repository; `publish.py` writes it, and `triton_config.py` reads and writes the configuration. The
layout is that of the Triton Inference Server ("Model Repository" in its user guide), which ignores `aliases.json` and
`manifest.json`.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.errors import ModelNotFoundError, ServingError

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
ALIASES_FILE = "aliases.json"
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]{0,8}")  # Triton accepts only numbers as versions


@dataclass(frozen=True)
class Manifest:
    """The manifest of a published version.

    Attributes:
        model: name of the model.
        version: number of the version, as text.
        sha256: SHA-256 of `model.onnx`, 64 hex digits.
        size_bytes: size of `model.onnx` in bytes.
    """

    model: str
    version: str
    sha256: str
    size_bytes: int


def models(repository: Path) -> tuple[str, ...]:
    """The names of the published models, sorted."""
    if not repository.is_dir():
        return ()
    return tuple(sorted(p.name for p in repository.iterdir() if MODEL_NAME.fullmatch(p.name) and _versions_in(p)))


def versions(repository: Path, model: str) -> tuple[str, ...]:
    """The published versions of a model, sorted by number.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    found = _versions_in(repository / model) if MODEL_NAME.fullmatch(model) else ()
    if not found:
        known = ", ".join(models(repository)) or "none yet, `sinet run` makes one"
        raise ModelNotFoundError(f"no model {model!r} to serve (published: {known}); name one of those")
    return found


def aliases(repository: Path, model: str) -> dict[str, str]:
    """Alias -> version, as last deployed.

    Raises:
        ServingError: the file `aliases.json` cannot be read.
    """
    path = repository / model / ALIASES_FILE
    try:
        named = json.loads(path.read_bytes())
        return {str(alias): str(version) for alias, version in named.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ServingError(f"aliases of {model!r} cannot be read: {error}; deploy the model again") from error


def find_version(repository: Path, model: str, *, version: str | None = None, alias: str = "champion") -> Manifest:
    """The manifest of the requested version, or else of the version with the alias.

    Raises:
        ModelNotFoundError: there is no such model, version or alias; the message names the existing ones.
        ServingError: a file of the repository cannot be read.
    """
    if version is not None:
        return read_manifest(repository, model, version)
    known = versions(repository, model)
    named = aliases(repository, model)
    if alias not in named:
        there = ", ".join(f"{name} is version {number}" for name, number in sorted(named.items())) or "none"
        raise ModelNotFoundError(
            f"no alias {alias!r} of {model!r} (aliases: {there}; versions: {', '.join(known)}); name one of those"
        )
    return read_manifest(repository, model, named[alias])


def read_manifest(repository: Path, model: str, version: str) -> Manifest:
    """The manifest of a published version.

    Raises:
        ModelNotFoundError: there is no such model or version.
        ServingError: its manifest cannot be read.
    """
    known = versions(repository, model)
    if version not in known:
        raise ModelNotFoundError(f"no version {version!r} of {model!r} (published: {', '.join(known)}); name one")
    try:
        return Manifest(**json.loads((repository / model / version / MANIFEST_FILE).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ServingError(
            f"manifest of {model!r} version {version} cannot be read: {error}; publish it again"
        ) from error


def read_model(repository: Path, model: str, version: str) -> tuple[bytes, Manifest]:
    """The bytes of a version's graph, verified by their SHA-256, and its manifest.

    Raises:
        ModelNotFoundError: there is no such model or version.
        ServingError: the file is missing or differs from its manifest.
    """
    manifest = read_manifest(repository, model, version)
    try:
        content = (repository / model / version / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ServingError(f"{model!r} version {version} cannot be read: {error}; publish it again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ServingError(
            f"{MODEL_FILE} of {model!r} version {version} has SHA-256 {found[:12]} (its manifest: "
            f"{manifest.sha256[:12]}); it was changed after it was published, publish it again"
        )
    return content, manifest


def _versions_in(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    found = [p.name for p in folder.iterdir() if VERSION.fullmatch(p.name) and (p / MANIFEST_FILE).is_file()]
    return tuple(sorted(found, key=int))
