"""`tracking`: records runs in MLflow, and builds the addresses of their pages."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import dagster as dg

from sinet_pipelines.registry.origin import origin_of
from sinet_pipelines.registry.runs import LoggedRun, RunRecord, add_metrics, log_run
from sinet_pipelines.registry.tracking import Tracking, tracking_of


class TrackingResource(dg.ConfigurableResource):
    """MLflow's runs; the first step that records one imports MLflow.

    Attributes:
        tracking_uri: the store of runs, `sqlite:///<home>/mlflow.db` or a server's address.
        artifact_root: URI of the folder with the files of experiments.
        lock: file that lets one process of a home at a time write.
        ui_url: address of MLflow's UI; empty while it is not open.
        project: the checkout whose commit the tags name; the working directory, if empty.
    """

    tracking_uri: str
    artifact_root: str
    lock: str
    ui_url: str = ""
    project: str = ""

    @cached_property
    def tracking(self) -> Tracking:
        """The store, for calls that this resource does not have."""
        return Tracking(self.tracking_uri, self.artifact_root, Path(self.lock))

    def log_run(self, record: RunRecord, *, key: str) -> LoggedRun:
        """The one finished run of this content, created if it does not exist; its tags name the code that made it."""
        tags = {**origin_of(Path(self.project)).tags, **record.tags}
        return log_run(self.tracking, replace(record, tags=tags), key=key)

    def add_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Adds figures that became known after the run."""
        add_metrics(self.tracking, run_id, metrics)

    def run_url(self, run: LoggedRun) -> str:
        """Address of the run's page; empty while the UI is not open."""
        return f"{self.ui_url}/#/experiments/{run.experiment_id}/runs/{run.run_id}" if self.ui_url else ""


def tracking_resource(home: Path, *, ui_url: str = "", project: str = "") -> TrackingResource:
    """The embedded store of a home."""
    embedded = tracking_of(home)
    return TrackingResource(
        tracking_uri=embedded.uri,
        artifact_root=embedded.artifact_root,
        lock=str(embedded.lock),
        ui_url=ui_url,
        project=project,
    )
