"""`tracking`: where runs are told of in MLflow, and the address of their pages."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import dagster as dg

from resources.settings import settings
from sinet_pipelines.registry.origin import origin_of
from sinet_pipelines.registry.runs import LoggedRun, RunRecord, add_metrics, log_run
from sinet_pipelines.registry.tracking import Tracking, tracking_of


class TrackingResource(dg.ConfigurableResource):
    """MLflow's runs; MLflow itself is imported by the first step that tells of one.

    Attributes:
        tracking_uri: the store of runs, `sqlite:///<home>/mlflow.db` or a server's address.
        artifact_root: URI under which experiments keep their files.
        lock: file by which the processes of one home take turns.
        ui_url: address of MLflow's pages, empty while nobody serves them.
    """

    tracking_uri: str
    artifact_root: str
    lock: str
    ui_url: str = ""

    @cached_property
    def tracking(self) -> Tracking:
        """The store, for what is not said here."""
        return Tracking(self.tracking_uri, self.artifact_root, Path(self.lock))

    def log_run(self, record: RunRecord, *, key: str) -> LoggedRun:
        """The one finished run of this content, written if it is not there; tags name the code that made it."""
        tags = {**origin_of(settings().project).tags, **record.tags}
        return log_run(self.tracking, replace(record, tags=tags), key=key)

    def add_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Sets figures that came to be known after the run."""
        add_metrics(self.tracking, run_id, metrics)

    def run_url(self, run: LoggedRun) -> str:
        """Address of the run's page, empty while nobody serves it."""
        return f"{self.ui_url}/#/experiments/{run.experiment_id}/runs/{run.run_id}" if self.ui_url else ""


def tracking_resource(home: Path, *, ui_url: str = "") -> TrackingResource:
    """The embedded store of a home."""
    embedded = tracking_of(home)
    return TrackingResource(
        tracking_uri=embedded.uri, artifact_root=embedded.artifact_root, lock=str(embedded.lock), ui_url=ui_url
    )
