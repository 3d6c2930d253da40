"""Lists the registered models of a home from MLflow's SQLite file, in milliseconds; MLflow's import takes seconds.

The file is opened read-only. The queries fit the schema of the pinned MLflow release; a test compares their result with
that of MLflow.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypedDict

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.layout import file_uri, mlflow_database

SCHEMA = "dc11669786a5"  # alembic revision of MLflow 3.17.2; after a new pin check the schema, then change this
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
    """One version in `sinet status`; precision and verdict are empty where they are not set."""

    name: str
    version: int
    aliases: list[str]
    family: str
    precision: str
    verdict: str


def list_models(home: Path) -> list[ListedModel]:
    """All versions of all models, sorted by name and number; empty where no model is registered.

    Raises:
        StorageError: the file is of another release of MLflow, or is not a database.
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
            tags = {(name, version, key): value for name, version, key, value in connection.execute(_TAGS)}
    except sqlite3.DatabaseError as error:
        raise StorageError(f"{path} cannot be read: {error}; open it with MLflow itself") from error
    return [
        ListedModel(
            name=name,
            version=version,
            aliases=sorted(aliases.splitlines()),
            family=tags.get((name, version, "family"), ""),
            precision=tags.get((name, version, "precision"), ""),
            verdict=tags.get((name, version, "verdict"), ""),
        )
        for name, version, aliases in rows
    ]


def _revision(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall():
        return None
    return next((row[0] for row in connection.execute("SELECT version_num FROM alembic_version")), None)
