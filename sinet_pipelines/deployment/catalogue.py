"""The loaded models of a server: the versions that are ready, the default version, and the published ones.

HTTP and gRPC use the same catalogue. A load replaces the versions of a model only after each new one has predicted its
sample. Until then, and if one fails, the loaded versions continue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from sinet_pipelines.deployment import repository as published
from sinet_pipelines.deployment.model import ServedModel, load_model
from sinet_pipelines.errors import ModelNotFoundError, ServingError


@dataclass(frozen=True)
class IndexEntry:
    """A published version and its state.

    Attributes:
        name: name of the model.
        version: number of the version, as text.
        state: READY or UNAVAILABLE.
        reason: why it is unavailable; empty where it is ready.
    """

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True)
class _Loaded:
    """The loaded versions of one model, and the default version."""

    versions: Mapping[str, ServedModel]
    default: ServedModel


class Catalogue:
    """The models that a server serves from one model repository."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self._loaded: dict[str, _Loaded] = {}
        self._pinned: dict[str, str] = {}  # model -> the version that this server was started for
        self._loading = Lock()  # of loads; readers see whole dictionaries without it

    def start(self, model: str, *, version: str, sha256: str | None = None) -> ServedModel:
        """Loads the version that this server is started for; it is the default version as long as it is loaded.

        Raises:
            ModelNotFoundError: there is no such model or version.
            ServingError: it cannot be loaded, or its graph has another SHA-256 than requested.
        """
        served = load_model(self.repository, model, version=version)
        if sha256 is not None and served.sha256 != sha256:
            raise ServingError(
                f"{model!r} version {version} has SHA-256 {served.sha256[:12]} (requested: {sha256[:12]}); "
                "publish the requested graph"
            )
        self._pinned[model] = version
        self._loaded = {**self._loaded, model: _Loaded({version: served}, served)}
        return served

    def find(self, model: str, version: str | None = None) -> ServedModel:
        """A loaded version; the default version where `version` is None.

        Raises:
            ModelNotFoundError: the model or version is not loaded.
        """
        loaded = self._of(model)
        if not version:
            return loaded.default
        if version not in loaded.versions:
            known = ", ".join(loaded.versions)
            raise ModelNotFoundError(
                f"version {version[:20]!r} of {model!r} is not loaded (loaded: {known}); load it or use one of those"
            )
        return loaded.versions[version]

    def versions(self, model: str) -> tuple[str, ...]:
        """The loaded versions of a model, sorted by number.

        Raises:
            ModelNotFoundError: none is loaded.
        """
        return tuple(self._of(model).versions)

    def defaults(self) -> tuple[ServedModel, ...]:
        """The default version of every loaded model."""
        return tuple(loaded.default for loaded in self._loaded.values())

    @property
    def is_ready(self) -> bool:
        """Whether the models that this server was started for are loaded."""
        return all(model in self._loaded for model in self._pinned)

    def load(self, model: str) -> None:
        """Loads all published versions of a model, also those that are loaded already.

        Raises:
            ModelNotFoundError: there is no such model.
            ServingError: a version cannot be loaded; the loaded versions then stay.
        """
        with self._loading:
            numbers = published.versions(self.repository, model)
            found = {number: load_model(self.repository, model, version=number) for number in numbers}
            default = found.get(self._pinned.get(model, ""), found[numbers[-1]])
            self._loaded = {**self._loaded, model: _Loaded(found, default)}

    def unload(self, model: str) -> None:
        """Stops serving a model; requests in progress are completed.

        Raises:
            ModelNotFoundError: it is not loaded.
        """
        with self._loading:
            self.find(model)
            self._loaded = {name: loaded for name, loaded in self._loaded.items() if name != model}

    def index(self, *, only_ready: bool = False) -> list[IndexEntry]:
        """Every published version with its state.

        Args:
            only_ready: whether versions that are not loaded are left out.
        """
        entries = [
            self._entry(model, version)
            for model in published.models(self.repository)
            for version in published.versions(self.repository, model)
        ]
        return [entry for entry in entries if entry.state == "READY" or not only_ready]

    def _entry(self, model: str, version: str) -> IndexEntry:
        loaded = self._loaded.get(model)
        if loaded is not None and version in loaded.versions:
            return IndexEntry(model, version, "READY", "")
        return IndexEntry(model, version, "UNAVAILABLE", "not loaded")

    def _of(self, model: str) -> _Loaded:
        loaded = self._loaded.get(model)
        if loaded is None:
            known = ", ".join(self._loaded) or "none"
            raise ModelNotFoundError(
                f"model {model[:60]!r} is not loaded (loaded: {known}); load it or use one of those"
            )
        return loaded
