"""Reads the graph of a registered version from MLflow's folder, which may be mounted read-only.

The pod that stages a model uses it. MLflow is not imported, and its database is opened read-only.
"""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry.alias import SOURCE
from sinet_pipelines.storage.layout import file_uri, mlflow_database

_BUSY_S = 5.0


def registered_graph(home: Path, name: str, version: str, *, sha256: str) -> bytes:
    """The bytes of the version's graph with this SHA-256.

    Args:
        home: the home with the MLflow store.
        name: name of the registered model.
        version: number of the version, as text.
        sha256: SHA-256 of the graph, 64 hex digits.

    Raises:
        StorageError: MLflow's database cannot be read or has no such version, or no file has this SHA-256.
    """
    database = mlflow_database(home)
    try:
        with closing(sqlite3.connect(f"{file_uri(database)}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            row = connection.execute(
                "SELECT source FROM model_versions WHERE name = ? AND version = ?", (name, int(version))
            ).fetchone()
    except sqlite3.Error as error:
        raise StorageError(f"{database} cannot be read: {error}; open it with MLflow itself") from error
    source = str(row[0]) if row and row[0] else ""
    if not SOURCE.search(source) or not source.startswith("file:"):
        raise StorageError(
            f"MLflow in {home} has no graph of {name} version {version} (its source: {source or 'none'})"
        )
    folder = Path(unquote(urlsplit(source).path))
    for path in sorted(folder.glob("*.onnx")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    raise StorageError(f"{folder} holds no graph with SHA-256 {sha256[:12]}; `sinet run` registers it again")
