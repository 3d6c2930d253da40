"""Updates paths in MLflow's database after a home was moved.

MLflow stores absolute paths. After a move they name a folder that is gone; after a copy, the original home. Before a
process first uses the database of a home, these paths are changed to this home's folder, so that MLflow's UI and client
find the files too. Other locations (a bucket, a folder of the user's choice) stay.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.layout import file_uri, mlflow_artifacts, mlflow_database
from sinet_pipelines.storage.locks import held

# every column of MLflow 3.17's schema with the path of a file
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_ROOT = re.compile(r"(file://.*/mlflow-artifacts)/[^/]+/?")
_BUSY_S = 5.0


def relocate(home: Path) -> bool:
    """Changes the paths in MLflow's database to this home; returns whether any path changed.

    All changes are one transaction: after a kill all paths are the old ones, and the next call changes them.

    Raises:
        StorageError: the database cannot be read or written.
    """
    database, root = mlflow_database(home), file_uri(mlflow_artifacts(home))
    if not database.exists():
        return False
    try:
        if not _other_roots(database, root):
            return False
        with held(home / "mlflow.lock"), closing(sqlite3.connect(database, timeout=_BUSY_S)) as connection, connection:
            for old in sorted(_other_roots(database, root)):
                for table, column in _PLACES:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                        (f"{root}/", len(old) + 2, len(old) + 1, f"{old}/"),
                    )
    except sqlite3.Error as error:
        raise StorageError(f"{database} cannot be read: {error}; open it with MLflow itself") from error
    return True


def _other_roots(database: Path, root: str) -> set[str]:
    """The artifact folders of other homes in the locations of the experiments."""
    with closing(sqlite3.connect(f"{file_uri(database)}?mode=ro", uri=True, timeout=_BUSY_S)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchall():
            return set()
        places = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    found = {match.group(1) for (place,) in places if (match := _ROOT.fullmatch(place or ""))}
    return found - {root}
