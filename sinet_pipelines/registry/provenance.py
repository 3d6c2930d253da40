"""The run and the training set of each registered version, from MLflow's SQLite file without importing MLflow.

Users edit tags of versions on MLflow's pages; what a version was made from is read from its run and its folder.
"""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sinet_pipelines.errors import ModelNotFoundError, StorageError, UsageError
from sinet_pipelines.registry.alias import SOURCE
from sinet_pipelines.registry.runs import DATA_TAG, STANDS_FOR_TAG
from sinet_pipelines.storage.layout import file_uri, mlflow_artifacts, mlflow_database

_BUSY_S = 5.0
_NAMED = re.compile(r"(?P<model>[^@]+)@(?P<version>[^@]+)")
_RUN = re.compile(r"/(?P<run>[0-9a-f]{32})/artifacts/models/[0-9a-f]{16}/?$")  # in a version's source
_VERSIONS = """
SELECT name, version, source, run_id FROM model_versions
WHERE COALESCE(current_stage, '') <> 'Deleted_Internal' ORDER BY name, version
"""


@dataclass(frozen=True)
class Origin:
    """What a registered version was made from.

    Attributes:
        model: name of the registered model.
        version: its number.
        sha256: the first 16 hex digits of its file's SHA-256; empty where it was registered by hand.
        runs: id of its run and of the run with the folder of its file, each with the lost run for which it stands.
        training_sets: content hashes of the data that these runs read, training sets among them.
        trained_at: UTC in ISO form; the end of the first of these runs, empty where none is known.
    """

    model: str
    version: int
    sha256: str
    runs: tuple[str, ...]
    training_sets: tuple[str, ...]
    trained_at: str = ""

    @property
    def name(self) -> str:
        """`turbofan_remaining_useful_life@3`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class TrackedRuns:
    """The runs of a home's MLflow store.

    Attributes:
        ended_ms: the end of each run (or its start), in ms since 1970, by its id; deleted runs are among them.
        tags: the tags of each run.
    """

    ended_ms: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def chain(self, run_id: str) -> tuple[str, ...]:
        """The run, and the lost run for which it stands."""
        before = self.tags.get(run_id, {}).get(STANDS_FOR_TAG)
        return (run_id,) if before is None else (run_id, before)

    def first_end(self, run_ids: tuple[str, ...]) -> str:
        """UTC in ISO form: the end of the first of some runs; empty where none is known."""
        ends = [self.ended_ms[one] for one in run_ids if self.ended_ms.get(one)]
        return datetime.fromtimestamp(min(ends) / 1000, UTC).isoformat(timespec="seconds") if ends else ""

    def training_sets(self, run_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Content hashes of the data that some runs read, training sets among them."""
        tags = [tag for one in run_ids for tag in self.tags.get(one, {}).items()]
        return tuple(value for key, value in tags if key.startswith(DATA_TAG) and value)


def tracked(home: Path) -> tuple[list[Origin], TrackedRuns]:
    """All registered versions with their origin, and all runs; empty where no model was registered yet.

    Raises:
        StorageError: MLflow's database cannot be read.
    """
    database = mlflow_database(home)
    if not database.exists():
        return [], TrackedRuns()
    try:
        with closing(sqlite3.connect(f"{file_uri(database)}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            rows = connection.execute(_VERSIONS).fetchall()
            ends = dict(connection.execute("SELECT run_uuid, COALESCE(end_time, start_time, 0) FROM runs"))
            tags: dict[str, dict[str, str]] = {}
            for run_id, key, value in connection.execute("SELECT run_uuid, key, value FROM tags"):
                tags.setdefault(run_id, {})[key] = value or ""
    except sqlite3.Error as error:
        raise StorageError(f"{database} cannot be read: {error}; open it with MLflow itself") from error
    runs = TrackedRuns(ends, tags)
    origins = []
    for model, version, source, run_id in rows:
        folder, run = SOURCE.search(source or ""), _RUN.search(source or "")
        ids = dict.fromkeys([run_id or "", run["run"] if run else ""])
        chain = tuple(dict.fromkeys(each for one in ids if one for each in runs.chain(one)))
        sha256 = folder["sha256"] if folder else ""
        sets, at = runs.training_sets(chain), runs.first_end(chain)
        origins.append(Origin(model, int(version), sha256, chain, sets, at))
    return origins, runs


def origin_named(home: Path, named: str) -> Origin:
    """The origin of the version that is named `MODEL@VERSION` or `MODEL@ALIAS`.

    Raises:
        UsageError: the text has another form.
        ModelNotFoundError: there is no such version.
        StorageError: MLflow's database cannot be read.
    """
    parts = _NAMED.fullmatch(named)
    if parts is None:
        raise UsageError(
            f"{named!r} names no version of a model (allowed: MODEL@VERSION or MODEL@ALIAS); `sinet status` lists them"
        )
    origins, _ = tracked(home)
    version = parts["version"] if parts["version"].isdigit() else _of_alias(home, parts["model"], parts["version"])
    for one in origins:
        if one.model == parts["model"] and str(one.version) == version:
            return one
    there = ", ".join(one.name for one in origins) or "none"
    raise ModelNotFoundError(f"no version {named} is registered (there is: {there}); name one of those")


def runs_by_file(home: Path) -> dict[str, list[str]]:
    """Ids of the runs whose artifacts have a version's file, by the first 16 hex digits of the file's SHA-256.

    Versions that were deleted have their files, too.

    Args:
        home: with the store.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(mlflow_artifacts(home).glob(f"*/*/artifacts/models/{'[0-9a-f]' * 16}")):
        found.setdefault(path.name, []).append(path.parents[2].name)
    return found


def _of_alias(home: Path, model: str, alias: str) -> str:
    with closing(sqlite3.connect(f"{file_uri(mlflow_database(home))}?mode=ro", uri=True, timeout=_BUSY_S)) as opened:
        row = opened.execute(
            "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", (model, alias)
        ).fetchone()
    return "" if row is None else str(row[0])
