"""Finds lost data in a home's MLflow store (database, versions, files of versions), without importing MLflow."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from sinet_pipelines.registry.alias import SOURCE
from sinet_pipelines.registry.tracking import TABLES
from sinet_pipelines.registry.version_files import version_folder
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.health import StorageFault
from sinet_pipelines.storage.layout import mlflow_artifacts, mlflow_database

MODEL_SUFFIXES = (".onnx", ".safetensors")  # of the files that are registered
CURE = "`sinet run` registers the model again"

_VERSIONS = """
SELECT v.name, v.version, v.source, v.run_id FROM model_versions AS v WHERE v.current_stage <> 'Deleted_Internal'
"""


def database_faults(home: Path) -> Iterator[StorageFault]:
    """The faults of MLflow's database: missing, damaged or incomplete."""
    fault = database_fault(mlflow_database(home), tables=TABLES, cure=CURE)
    if fault is not None:
        yield fault


def registry_faults(home: Path, versions: Mapping[str, str]) -> Iterator[StorageFault]:
    """The faults of versions that should be registered: missing versions and files.

    Args:
        home: the home with the store.
        versions: SHA-256 of the file by `<name>/<version>`.
    """
    if not versions:
        return
    faults = list(database_faults(home))
    yield from faults
    if faults:
        return
    path = mlflow_database(home)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_VERSIONS).fetchall()
    except sqlite3.DatabaseError as error:
        yield StorageFault(path, f"it is damaged ({error})", CURE)
        return
    there = {f"{name}/{version}": (source or "", run_id) for name, version, source, run_id in rows}
    for name, sha256 in versions.items():
        source, run_id = there.get(name, ("", ""))
        named = SOURCE.search(source)  # users may edit tags in MLflow's UI, but not the source
        if named is None or named["sha256"] != sha256[:16]:
            yield StorageFault(path, f"version {name} with SHA-256 {sha256[:16]} is not registered", CURE)
            continue
        places = sorted(mlflow_artifacts(home).glob(f"*/{run_id}/artifacts/{version_folder(sha256)}"))
        models = [file for place in places for file in place.iterdir() if file.suffix in MODEL_SUFFIXES]
        if not any(file.stat().st_size > 0 for file in models):
            place = places[0] if places else mlflow_artifacts(home) / "*" / run_id / version_folder(sha256)
            yield StorageFault(place, f"the file of version {name} is missing", CURE)
