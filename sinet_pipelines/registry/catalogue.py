"""The registered models of a home, read from MLflow's SQLite file in milliseconds where MLflow's import takes seconds.

Read-only, and only of the schema of the MLflow release that is pinned; a test compares it with MLflow's own answer.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypedDict

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.layout import file_uri, mlflow_database

SCHEMA = "dc11669786a5"  # alembic revision that MLflow 3.17.2 writes; a new pin must be looked at, then written here
_BUSY_S = 5.0  # a commit of MLflow takes milliseconds

_MODELS = """
SELECT v.name, v.version, COALESCE(GROUP_CONCAT(a.alias, char(10)), '')
FROM model_versions AS v
LEFT JOIN registered_model_aliases AS a
    ON a.workspace = v.workspace AND a.name = v.name AND a.version = v.version
WHERE v.current_stage <> 'Deleted_Internal'
GROUP BY v.name, v.version
ORDER BY v.name, v.version
"""

_TAGS = "SELECT name, version, key, value FROM model_version_tags WHERE key IN ('family', 'precision', 'verdict')"


class ListedModel(TypedDict):
    """One version as `sinet status` tells it; precision and verdict are empty where nothing was said."""

    name: str
    version: int
    aliases: list[str]
    family: str
    precision: str
    verdict: str


def list_models(home: Path) -> list[ListedModel]:
    """All versions of all models by name and number; none where nothing was registered yet.

    Raises:
        StorageError: the file is of another release of MLflow, or is no such file.
    """
    path = mlflow_database(home)
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{file_uri(path)}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
            found = _revision(connection)
            if found != SCHEMA:
                raise StorageError(
                    f"{path} has schema {found} (known here: {SCHEMA} of MLflow 3.17.2); install the pinned MLflow"
                )
            rows = connection.execute(_MODELS).fetchall()
            said = {(name, version, key): value for name, version, key, value in connection.execute(_TAGS)}
    except sqlite3.DatabaseError as error:
        raise StorageError(f"{path} cannot be read: {error}; look at it with MLflow itself") from error
    return [
        ListedModel(
            name=name,
            version=version,
            aliases=sorted(aliases.splitlines()),
            family=said.get((name, version, "family"), ""),
            precision=said.get((name, version, "precision"), ""),
            verdict=said.get((name, version, "verdict"), ""),
        )
        for name, version, aliases in rows
    ]


def _revision(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall():
        return None
    return next((row[0] for row in connection.execute("SELECT version_num FROM alembic_version")), None)
