"""Where MLflow keeps runs and models, and how the processes of one home take turns in writing there.

MLflow is imported when it is first asked.
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

TABLES = ("model_versions", "registered_models", "runs", "experiments")  # of a database that MLflow made
_ENVIRONMENT = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # else every first use tells of its schema
}
# MLflow 3.17 maps its tables the way of SQLAlchemy 2.0
_FOREIGN_WARNING = "The ``noload`` loader strategy is deprecated"


@dataclass(frozen=True)
class Tracking:
    """An MLflow store: its database and the root of its artifacts.

    Attributes:
        uri: of runs and registry: `sqlite:///<home>/mlflow.db`, or that of a server.
        artifact_root: folder or URI under which each experiment keeps its files.
        lock: file by which the processes of one home take turns in writing.
    """

    uri: str
    artifact_root: str
    lock: Path

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client; the first use of a home makes its tables, which takes two seconds."""
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
        """The client, while no other process or thread of this home writes; a killed holder lets go by dying.

        Raises:
            StorageError: MLflow or the disk did not take what was written.
        """
        client = self.client
        from mlflow.exceptions import MlflowException

        with held(self.lock):
            try:
                yield client
            except (MlflowException, OSError) as error:
                raise StorageError(
                    f"MLflow at {self.uri} did not take it: {first_line(error)}; "
                    "mend that and run again, it is written anew"
                ) from error

    def _ensure_database(self, path: Path) -> None:
        """Makes MLflow's tables beside their place and moves them there whole.

        MLflow makes them by some fifty migrations: killed in between, it leaves a file that it can never open again.
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
    """The embedded store of a home: SQLite and a folder."""
    return Tracking(sqlite_uri(mlflow_database(home)), file_uri(mlflow_artifacts(home)), home / "mlflow.lock")
