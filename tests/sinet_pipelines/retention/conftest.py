"""A home with an empty MLflow store, and one look at it without Dagster or with an event log that a test states."""

import shutil
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register
from sinet_pipelines.retention.execution import execute, plan_only
from sinet_pipelines.retention.policy import Policy
from sinet_pipelines.retention.runs import EventLog
from sinet_pipelines.retention.survey import survey
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.storage.blobs import blobs_of
from sinet_pipelines.storage.tables import tables_of
from sinet_pipelines.storage.training_sets import keep_training_set, record_of

SAMPLES = Contract(
    "training_set",
    "One sample.",
    DataClass.FEATURE,
    (Column("unit", pa.string(), "engine"), Column("value", pa.float64(), "value")),
    key=("unit",),
)
NOW = datetime.now(UTC)
POLICY = Policy(newest_runs=0)


class Store:
    """A home of one application `mill`, and what retention does there, seen from any time."""

    def __init__(self, home, regions=("EAST",)):
        self.home, self.regions, self.log = home, regions, EventLog()

    @property
    def blobs(self):
        return blobs_of(self.home, "EAST", "mill")

    @property
    def tables(self):
        return tables_of(self.home, "EAST", "mill")

    def train(self, value, *, version=7, features="f00d"):
        """Writes a training set whose rows have this value; returns its record."""
        rows = pl.DataFrame({"unit": ["a", "b"], "value": [value, value + 1]})
        written = self.tables.replace(SAMPLES, rows)
        found = record_of(
            self.tables,
            SAMPLES,
            written,
            region="EAST",
            tables={"EAST/mill/window_features": version},
            features=features,
        )
        keep_training_set(self.blobs, found)
        return found

    def register(self, found, content=b"graph", name="mill_rul"):
        """Registers a model that was trained on the set; returns the version."""
        record = RunRecord(
            "mill", "trees", {}, {}, {"training_set": found.content}, "code", artifacts={"plots/a.png": b"p"}
        )
        run = log_run(tracking_of(self.home), record, key=f"{found.content}-{content.decode()}")
        return register(tracking_of(self.home), name, content, family="trees", run_id=run.run_id)

    def look(self, at):
        return survey(self.home, self.regions, log=self.log, policy=POLICY, now=at)

    def plan(self, *, days=0.0, policy=POLICY):
        """The plan as it is some days from now."""
        return plan_only(self.home, self.look, policy=policy, now=NOW + timedelta(days=days))

    def retain(self, *days, remove_run=None):
        """Executes the plan at each of these times, in days from now; returns the last result."""
        return [
            execute(self.home, self.look, policy=POLICY, now=NOW + timedelta(days=day), remove_run=remove_run)
            for day in days
        ][-1]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    home = tmp_path_factory.mktemp("empty")
    assert tracking_of(home).client is not None
    return home / "mlflow.db"


@pytest.fixture
def plain(tmp_path):
    """A home without models."""
    return Store(tmp_path / "a home #1")


@pytest.fixture
def store(tmp_path, empty_store):
    """A home with an MLflow store."""
    home = tmp_path / "a home #1"
    home.mkdir()
    shutil.copy(empty_store, home)
    return Store(home)


def names(things, kind):
    return [one.name for one in things if one.kind is kind]
