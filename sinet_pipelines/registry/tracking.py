"""The MLflow store of runs and models, and the lock with which one process of a home at a time writes to it.

MLflow is imported at the first use of the client.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sinet_pipelines.errors import StorageError, first_line
from sinet_pipelines.registry.location import relocate
from sinet_pipelines.storage.aside import set_aside
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.layout import file_uri, mlflow_artifacts, mlflow_database, sqlite_path, sqlite_uri
from sinet_pipelines.storage.locks import held

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLES = ("model_versions", "registered_models", "runs", "experiments")  # tables of a complete MLflow database
_ENVIRONMENT = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # otherwise the first use logs lines about the schema
}
# a warning of SQLAlchemy about code of MLflow 3.17
_FOREIGN_WARNING = "The ``noload`` loader strategy is deprecated"


@dataclass(frozen=True)
class Tracking:
    """An MLflow store: its database and the root of its artifacts.

    Attributes:
        uri: URI of runs and registry: `sqlite:///<home>/mlflow.db`, or of a server.
        artifact_root: folder or URI with the files of experiments.
        lock: lock file; the process that holds it writes.
    """

    uri: str
    artifact_root: str
    lock: Path

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client. The first use in a home creates MLflow's tables, which takes two seconds."""
        os.environ.update(_ENVIRONMENT)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_FOREIGN_WARNING)
            from mlflow import MlflowClient

            database = sqlite_path(self.uri)
            if database is not None:
                self._ensure_database(database)
                relocate(database.parent)
            return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def alone(self) -> Iterator["MlflowClient"]:
        """Holds the lock and yields the client: no other process or thread of this home writes meanwhile.

        The lock of a killed process is free.

        Raises:
            StorageError: MLflow or the disk could not write.
        """
        client = self.client
        from mlflow.exceptions import MlflowException

        with held(self.lock):
            try:
                yield client
            except (MlflowException, OSError) as error:
                raise StorageError(
                    f"MLflow at {self.uri} could not write: {first_line(error)}; correct that and run again"
                ) from error

    def _ensure_database(self, path: Path) -> None:
        """Creates MLflow's tables in a temporary file and renames it; sets aside a damaged database first.

        MLflow creates the tables by some fifty migrations. A kill during these would leave a file that it cannot open.
        """
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with held(self.lock):
            if path.exists():
                if database_fault(path, tables=TABLES) is None:
                    return
                set_aside(path.parent, path.name, why="damaged")
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.partial")
            partial.unlink(missing_ok=True)
            SqlAlchemyStore(sqlite_uri(partial), self.artifact_root).engine.dispose()
            partial.replace(path)


def tracking_of(home: Path) -> Tracking:
    """The store inside a home: an SQLite database and a folder of artifacts."""
    return Tracking(sqlite_uri(mlflow_database(home)), file_uri(mlflow_artifacts(home)), home / "mlflow.lock")
