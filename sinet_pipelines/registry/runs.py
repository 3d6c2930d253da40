"""Records runs in MLflow: exactly one finished run for each content, also after kills and repetitions."""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from sinet_pipelines.errors import UsageError
from sinet_pipelines.registry.tracking import Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

KEY_TAG = "sinet.key"
CODE_TAG = "code_version"
STANDS_FOR_TAG = "sinet.stands_for"  # on a run: the id of the lost run that it replaces
RECOVERED = "recovered"  # experiment of the runs that replace lost ones
DATA_TAG = "data_version."  # prefix, followed by the table's name
FILES_TAG = "sinet.files"  # on a run: size and SHA-256 of the files that the platform stored, by path, as JSON
_TAG_CHARACTERS = 4000  # MLflow allows 8,000; files that do not fit are not recorded, and so are never removed
_METRICS_AT_ONCE = 1000  # limit of MLflow for one call
_PARAMS_AT_ONCE = 100


@dataclass(frozen=True)
class RunRecord:
    """The record of one run.

    Attributes:
        experiment: name of its experiment.
        name: name of the run in MLflow's UI.
        params: its parameters.
        metrics: figures by name; a sequence is a curve over steps 0, 1, 2, ...
        data_versions: content hash of each table that it read, by the table's name.
        code_version: version of the code that ran.
        tags: further tags.
        artifacts: content of the files to store, by their path in the run.
    """

    experiment: str
    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float | Sequence[float]]
    data_versions: Mapping[str, str]
    code_version: str
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


def content_key(*parts: object) -> str:
    """The first 16 hex digits of the SHA-256 of everything that a run depends on; equal contents have equal keys.

    Args:
        parts: values that JSON supports; the order of a mapping's keys does not count.

    >>> content_key({"seed": 1, "rows": "ab"}) == content_key({"rows": "ab", "seed": 1})
    True
    """
    encoded = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(encoded.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LoggedRun:
    """A finished run in MLflow.

    Attributes:
        run_id: its id.
        experiment_id: id of its experiment.
        is_new: whether it was written now; false where this content had its run already.
    """

    run_id: str
    experiment_id: str
    is_new: bool


def log_run(tracking: Tracking, record: RunRecord, *, key: str) -> LoggedRun:
    """The one finished run of this content, written if it does not exist.

    An unfinished run with the same key, left by a killed process, is deleted first.

    Args:
        tracking: the store of runs.
        record: the record.
        key: hash of everything the run depends on, from `content_key`.

    Raises:
        UsageError: the experiment was deleted by hand.
        StorageError: MLflow or the disk could not write.
    """
    with tracking.alone() as client:
        experiment = _experiment(client, record.experiment, root=tracking.artifact_root)
        for run in client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'"):
            if run.info.status == "FINISHED":
                return LoggedRun(run.info.run_id, experiment, is_new=False)
            client.delete_run(run.info.run_id)
        tags = {KEY_TAG: key, CODE_TAG: record.code_version, **record.tags}
        tags |= {f"{DATA_TAG}{table}": version for table, version in record.data_versions.items()}
        if record.artifacts:
            tags[FILES_TAG] = _recorded_files(record.artifacts)
        run_id = client.create_run(experiment, tags=tags, run_name=record.name).info.run_id
        _log_record(client, run_id, record)
        client.set_terminated(run_id, "FINISHED")
        return LoggedRun(run_id, experiment, is_new=True)


def live_run(client: "MlflowClient", run_id: str, *, root: str) -> str:
    """The id of the run, or, where it was lost or deleted, of the one run that replaces it, created if necessary.

    A model whose run is gone can thus be registered from its bytes without another training.

    Args:
        client: MLflow's client.
        run_id: id of the logged run.
        root: folder or URI with the files of experiments.
    """
    from mlflow.exceptions import MlflowException

    try:
        info = client.get_run(run_id).info
        if info.lifecycle_stage == "active":
            return info.run_id
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = _experiment(client, RECOVERED, root=root)
    for run in client.search_runs([experiment], f"tags.`{STANDS_FOR_TAG}` = '{run_id}'"):
        return run.info.run_id
    tags = {STANDS_FOR_TAG: run_id}
    found: str = client.create_run(experiment, tags=tags, run_name=f"replaces {run_id[:8]}").info.run_id
    client.set_terminated(found, "FINISHED")
    return found


def add_metrics(tracking: Tracking, run_id: str, metrics: Mapping[str, float]) -> None:
    """Adds figures that became known after the run; a figure with the value that it has already adds no second point.

    Raises:
        StorageError: MLflow or the disk could not write.
    """
    with tracking.alone() as client:
        run_id = live_run(client, run_id, root=tracking.artifact_root)
        known = client.get_run(run_id).data.metrics
        changed = {name: value for name, value in metrics.items() if known.get(name) != value}
        client.log_batch(run_id, metrics=list(_points(changed)))


def _experiment(client: "MlflowClient", name: str, *, root: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name, artifact_location=f"{root}/{name}")
    if found.lifecycle_stage != "active":
        raise UsageError(
            f"experiment {name!r} was deleted by hand; restore it: MLFLOW_TRACKING_URI={quote(client.tracking_uri)} "
            f"mlflow experiments restore -x {found.experiment_id}"
        )
    return found.experiment_id


def _log_record(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    from mlflow.entities import Param

    params = [Param(name, str(value)) for name, value in record.params.items()]
    for start in range(0, len(params), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + _PARAMS_AT_ONCE])
    points = list(_points(record.metrics))
    for start in range(0, len(points), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_AT_ONCE])
    keep_files(client, run_id, record.artifacts)


def _points(metrics: Mapping[str, float | Sequence[float]]) -> Iterator["Metric"]:
    """The points of all curves; a single figure is a curve of one step."""
    from mlflow.entities import Metric

    now_ms = time.time_ns() // 1_000_000
    for name, values in metrics.items():
        for step, value in enumerate(values if isinstance(values, Sequence) else [values]):
            yield Metric(name, float(value), now_ms, step)


def recorded_file(content: bytes) -> str:
    """Size and SHA-256 of a file as the run's tag records them.

    >>> recorded_file(b"picture")
    '7 2cea274d0bedc39e'
    """
    return f"{len(content)} {hashlib.sha256(content).hexdigest()[:16]}"


def _recorded_files(files: Mapping[str, bytes]) -> str:
    found: dict[str, str] = {}
    for path, content in sorted(files.items()):
        more = {**found, path: recorded_file(content)}
        if len(json.dumps(more)) > _TAG_CHARACTERS:
            break
        found = more
    return json.dumps(found)


def keep_files(client: "MlflowClient", run_id: str, files: Mapping[str, bytes]) -> None:
    """Adds files to the run's artifacts, by path; replaces files with the same path."""
    with tempfile.TemporaryDirectory() as scratch:
        for path, content in files.items():
            target = Path(scratch) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if files:
            client.log_artifacts(run_id, scratch)
