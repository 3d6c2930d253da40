"""Finds the version with an alias and whether it can be served, from MLflow's SQLite file in milliseconds.

The platform, a person in MLflow's UI or a program with its client may move the alias, and so decide which version
serves. A version that cannot be served has a reason: it was deleted, its file is gone, or its model was renamed.
"""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.layout import file_uri, mlflow_database

CHAMPION = "champion"
SET_ALIAS = "set the alias on a version in MLflow's UI"
BESIDE = ("MLmodel", "requirements.txt", "card.html", "card.md")  # other files beside a graph
_BUSY_S = 5.0
# `versions.register` stores a version's file in a folder with the name of the file's SHA-256
SOURCE = re.compile(r"/models/(?P<sha256>[0-9a-f]{16})/?$")


@dataclass(frozen=True)
class Named:
    """The version that has an alias.

    Attributes:
        version: its number; None where no existing version has the alias.
        sha256: the first 16 hex digits of its file's SHA-256; empty where the platform stored no file for it.
        reason: why it cannot be served, and what to do; empty where it can.
    """

    version: int | None
    sha256: str
    reason: str = ""


def named_by(home: Path, name: str, *, alias: str = CHAMPION) -> Named:
    """The version that has the alias now.

    Args:
        home: the home with the MLflow store.
        name: name of the registered model.
        alias: the alias.

    Raises:
        StorageError: MLflow's database cannot be read.
    """
    database = mlflow_database(home)
    if not database.exists():
        return Named(None, "", f"no model is registered in {home} yet; `sinet run` registers one")
    try:
        with closing(sqlite3.connect(f"{file_uri(database)}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            return _named(connection, name, alias)
    except sqlite3.Error as error:
        raise StorageError(f"{database} cannot be read: {error}; open it with MLflow itself") from error


def _named(connection: sqlite3.Connection, name: str, alias: str) -> Named:
    models = [found for (found,) in connection.execute("SELECT name FROM registered_models ORDER BY name")]
    if name not in models:
        there = ", ".join(models) or "none"
        cure = "rename it back, or `sinet run` after its deletion registers the model again"
        return Named(None, "", f"MLflow has no model {name} (there is: {there}): it was renamed or deleted; {cure}")
    found = connection.execute(
        "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", (name, alias)
    ).fetchone()
    if found is None:
        return Named(None, "", f"no version of {name} has the alias {alias}: it was removed; {SET_ALIAS}")
    version = int(found[0])
    row = connection.execute(
        "SELECT source FROM model_versions WHERE name = ? AND version = ? AND current_stage <> 'Deleted_Internal'",
        (name, version),
    ).fetchone()
    if row is None:
        return Named(None, "", f"version {version} of {name}, which has the alias {alias}, was deleted; {SET_ALIAS}")
    folder = SOURCE.search(row[0] or "")
    if folder is None:
        return Named(
            version,
            "",
            f"version {version} of {name}, which has the alias {alias}, was registered by hand and has no graph of "
            f"the platform (its source: {row[0] or 'none'}); {SET_ALIAS} that `sinet run` registered",
        )
    sha256 = folder["sha256"]
    why = _why_no_graph(row[0])
    if why:
        return Named(version, sha256, f"version {version} of {name}, which has the alias {alias}, {why}")
    return Named(version, sha256)


def _why_no_graph(source: str) -> str:
    """Why a version's folder on this machine has no graph; empty where it has one, or is not on this machine."""
    folder = Path(unquote(urlsplit(source).path))
    if not source.startswith("file:") or any(folder.glob("*.onnx")):
        return ""
    others = sorted(path.name for path in folder.glob("*") if path.name not in BESIDE)
    if others:
        return f"is {', '.join(others)} and no ONNX graph, so no server can load it; {SET_ALIAS} with a graph"
    return f"has lost its file (it was in {folder}); `sinet run` registers the newest model again, else {SET_ALIAS}"
