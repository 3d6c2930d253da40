"""Files of MLflow's runs: plots, and files of versions that are no longer registered; only what the platform wrote.

Runs themselves, with parameters and figures, are never removed. A file that a person logged to a run stays: plots go
only where the run's tag records them with their size and hash.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sinet_pipelines.registry.alias import BESIDE
from sinet_pipelines.registry.health import MODEL_SUFFIXES
from sinet_pipelines.registry.provenance import TrackedRuns
from sinet_pipelines.registry.runs import FILES_TAG, KEY_TAG, STANDS_FOR_TAG, recorded_file
from sinet_pipelines.retention.models import ModelNeed
from sinet_pipelines.retention.owner import is_inside
from sinet_pipelines.retention.plan import Thing
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.layout import mlflow_artifacts

PLOTS = "plots"


@dataclass(frozen=True)
class MlflowFiles:
    """The files of a home's MLflow runs.

    Attributes:
        found: the platform's files by the name of their thing: `<run>/plots` or `<run>/models/<16 hex digits>`.
        recorded: size and hash of each plot as the platform stored it.
    """

    found: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    recorded: Mapping[Path, str] = field(default_factory=dict)

    def things(self) -> Iterator[Thing]:
        """Plots of a run, and files of one version."""
        for name, paths in self.found.items():
            states = [state for path in paths if (state := _stat(path)) is not None]
            if states:
                newest = datetime.fromtimestamp(max(at for _, at in states), UTC)
                yield Thing(Kind.MLFLOW_FILES, name, sum(size for size, _ in states), newest)

    def needs(self, models: Iterable[ModelNeed]) -> dict[str, tuple[str, ...]]:
        """What needs the files, by the name of their thing: all files of a run that a version or endpoint needs."""
        by_run: dict[str, dict[str, None]] = {}
        for need in models:
            for run_id in need.runs:
                by_run.setdefault(run_id, {})[need.by] = None
        return {name: tuple(by_run.get(name.partition("/")[0], {})) for name in self.found}

    def remove(self, thing: Thing) -> bool:
        """Removes the files, and the folder if it is then empty; a plot that was replaced meanwhile stays.

        Raises:
            OSError: a file cannot be removed.
        """
        paths = self.found[thing.name]
        for path in paths:
            if path not in self.recorded or self._is_unchanged(path):
                path.unlink(missing_ok=True)
        folder = paths[0].parent
        if not any(folder.iterdir()):
            folder.rmdir()
        return True

    def _is_unchanged(self, path: Path) -> bool:
        try:
            return recorded_file(path.read_bytes()) == self.recorded[path]
        except FileNotFoundError:
            return False


def mlflow_files(home: Path, runs: TrackedRuns) -> MlflowFiles:
    """The platform's files among the artifacts of its runs; links and runs of others are left out.

    Args:
        home: with the store.
        runs: of its database.
    """
    found: dict[str, tuple[Path, ...]] = {}
    recorded: dict[Path, str] = {}
    for run_id, tags in runs.tags.items():
        if KEY_TAG not in tags and STANDS_FOR_TAG not in tags:
            continue
        for artifacts in mlflow_artifacts(home).glob(f"*/{run_id}/artifacts"):
            if not is_inside(artifacts, home):
                continue  # a link leads to the files of another home
            plots = _plots(artifacts, tags.get(FILES_TAG, ""))
            if plots:
                found[f"{run_id}/{PLOTS}"] = tuple(plots)
                recorded |= plots
            models = artifacts / "models"
            for folder in sorted(() if models.is_symlink() else models.glob("[0-9a-f]" * 16)):
                if files := _files(folder, suffixes=MODEL_SUFFIXES, names=BESIDE):
                    found[f"{run_id}/models/{folder.name}"] = files
    return MlflowFiles(found, recorded)


def _plots(artifacts: Path, tag: str) -> dict[Path, str]:
    """The plots of a run that its tag records and that have the recorded size."""
    try:
        known = json.loads(tag or "{}")
    except ValueError:
        return {}  # a person edited the tag
    if not isinstance(known, dict):
        return {}
    found = {}
    for path in _files(artifacts / PLOTS, suffixes=(".png",)):
        state, facts = _stat(path), str(known.get(f"{PLOTS}/{path.name}", ""))
        if state is not None and facts.partition(" ")[0] == str(state[0]):
            found[path] = facts
    return found


def _files(folder: Path, *, suffixes: tuple[str, ...], names: tuple[str, ...] = ()) -> tuple[Path, ...]:
    if not folder.is_dir() or folder.is_symlink():
        return ()
    return tuple(
        path
        for path in sorted(folder.iterdir())
        if (path.suffix in suffixes or path.name in names) and path.is_file() and not path.is_symlink()
    )


def _stat(path: Path) -> tuple[int, float] | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_size, state.st_mtime
