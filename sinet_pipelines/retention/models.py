"""What models need: registered versions and running endpoints, each with its runs, its file and its training sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sinet_pipelines.deployment.cluster.record import recorded
from sinet_pipelines.deployment.endpoint import current, endpoint_folders, read_wanted
from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry.provenance import Origin, TrackedRuns, runs_by_file, tracked
from sinet_pipelines.storage.layout import mlflow_artifacts, mlflow_database


@dataclass(frozen=True)
class ModelNeed:
    """What one version or one endpoint needs.

    Attributes:
        by: `model turbofan_remaining_useful_life@3`, or `endpoint WEST/turbofan_remaining_useful_life`.
        sha256: SHA-256 of its file, or the first 16 hex digits; empty where the platform has none.
        runs: ids of its runs in MLflow.
        training_sets: content hashes.
        version: `<name>/<version>` as the event log records it.
    """

    by: str
    sha256: str
    runs: tuple[str, ...]
    training_sets: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Models:
    """What the models of a home need.

    Attributes:
        needs: of versions and endpoints.
        runs: all runs in MLflow.
    """

    needs: Sequence[ModelNeed] = ()
    runs: TrackedRuns = field(default_factory=TrackedRuns)


def models_of(home: Path) -> Models:
    """What registered versions and endpoints of a home need.

    Raises:
        StorageError: MLflow's database cannot be read, or is missing although there are files of its runs.
    """
    if not mlflow_database(home).exists() and any(mlflow_artifacts(home).glob("*/*")):
        raise StorageError(
            f"{mlflow_database(home)} is missing, and which models its runs made is not known; restore a backup, or "
            "`sinet run` registers the newest models again"
        )
    origins, runs = tracked(home)
    by_file = runs_by_file(home)
    versions = [_version(one, runs, by_file) for one in origins]
    return Models([*versions, *_endpoints(home, runs, by_file)], runs)


def _version(origin: Origin, runs: TrackedRuns, by_file: Mapping[str, Sequence[str]]) -> ModelNeed:
    """What a registered version needs; every run with its file is one of its runs, as nothing else may name one."""
    chain = tuple(dict.fromkeys([*origin.runs, *_with_file(origin.sha256, runs, by_file)]))
    version = f"{origin.model}/{origin.version}"
    return ModelNeed(f"model {origin.name}", origin.sha256, chain, runs.training_sets(chain), version)


def _with_file(sha256: str, runs: TrackedRuns, by_file: Mapping[str, Sequence[str]]) -> list[str]:
    return [one for run_id in by_file.get(sha256[:16], ()) for one in runs.chain(run_id)]


def _endpoints(home: Path, runs: TrackedRuns, by_file: Mapping[str, Sequence[str]]) -> Iterator[ModelNeed]:
    """Endpoints that run, or that a restart would start again; their version may be deleted in MLflow by now."""
    served = {
        (folder.parent.name, folder.name, found.model, found.version, found.sha256)
        for folder in endpoint_folders(home)
        for found in (current(folder), read_wanted(folder))
        if found is not None and found.sha256
    }
    served |= {(one.region, one.name, one.model, one.version, one.sha256) for one in recorded(home).values()}
    for region, name, model, version, sha256 in sorted(served):
        chain = tuple(_with_file(sha256, runs, by_file))
        yield ModelNeed(f"endpoint {region}/{name}", sha256, chain, runs.training_sets(chain), f"{model}/{version}")
