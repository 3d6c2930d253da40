"""Dagster for the command line: the instance of a home, the definitions, and the runs that a command starts.

A run started here has an origin, so that the UI can execute it again. The run records its process, so that the next
command can detect that it was killed.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from sinet_pipelines.cli.home import OWN_INSTANCE, has_instance_of_clusters
from sinet_pipelines.errors import ClusterError, StorageError
from sinet_pipelines.inventory.regions import this_inventory
from sinet_pipelines.registry.location import relocate

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterInstance, DagsterRun

CURRENT_HOME = ".sinet/current"  # in the root's dagster.yaml: the home that was last run
LOOK_EVERY_S = 1.0  # how often the state of a launched run is read
FULL_BYTES = 1 << 20  # SQLite reports a full disk as an I/O error; it needs less free space than this at a time


def enter(project: Path, home: Path) -> None:
    """Sets this process up for the project and the home: environment and import path, before other imports.

    Raises:
        StorageError: MLflow's database in the home cannot be read or written.
    """
    go_to(project, home)
    _expect_beta()


def go_to(project: Path, home: Path) -> None:
    """As `enter`, but without the import of Dagster, for commands that may end before they need it.

    Raises:
        StorageError: as for `enter`.
    """
    _go_to_project(project)
    os.environ["SINET_HOME"] = str(home)
    if not has_instance_of_clusters():
        os.environ["DAGSTER_HOME"] = os.environ[OWN_INSTANCE] = str(home / "dagster")
        write_instance_file(project, home)
    relocate(home)


def be_in(project: Path) -> None:
    """Sets this process up for the project without a home."""
    _go_to_project(project)
    _expect_beta()


def _go_to_project(project: Path) -> None:
    os.environ["SINET_PROJECT"] = str(project)
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))


def _expect_beta() -> None:
    """Hides warnings about beta parts of Dagster that are used on purpose; a test checks them in the pinned version."""
    import warnings

    from dagster import BetaWarning

    warnings.filterwarnings("ignore", category=BetaWarning)


def write_instance_file(project: Path, home: Path) -> None:
    """Writes the root's dagster.yaml with this home's folder in the place of `.sinet/current`."""
    text = yaml.safe_dump(_at_home(yaml.safe_load((project / "dagster.yaml").read_text()), home), sort_keys=False)
    target = home / "dagster" / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        target.parent.mkdir(exist_ok=True)  # it was removed; the next run makes its contents again
        fresh = target.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(target)


def _at_home(setting: Any, home: Path) -> Any:
    """The settings with this home's folder where a text begins with `.sinet/current`."""
    if isinstance(setting, dict):
        return {name: _at_home(value, home) for name, value in setting.items()}
    if isinstance(setting, str) and setting.startswith(CURRENT_HOME):
        return f"{home}{setting.removeprefix(CURRENT_HOME)}"
    return setting


@contextmanager
def opened_instance() -> "Iterator[DagsterInstance]":
    """The instance of the entered home.

    Raises:
        StorageError: its databases cannot be read or written, as on a full disk.
    """
    import logging

    from dagster import DagsterInstance
    from sqlalchemy.exc import DatabaseError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with DagsterInstance.get() as instance:
            yield instance
    except DatabaseError as error:
        folder = Path(os.environ["DAGSTER_HOME"])
        is_full = shutil.disk_usage(folder).free < FULL_BYTES
        why = "no space is left; free some" if is_full else f"{error.orig}; correct that"
        raise StorageError(f"Dagster's event log in {folder} could not be written: {why} and run again") from error


def load_definitions() -> "dg.Definitions":
    """The definitions of the entered project."""
    from assets.definitions import definitions_of_this_process

    return definitions_of_this_process()


def end_killed_runs(instance: "DagsterInstance") -> list[str]:
    """Ends runs of the entered home whose process is gone, and frees pool slots of ended runs; returns their ids."""
    from resources.killed_runs import end_killed_runs, free_slots_of_ended_runs
    from resources.settings import settings

    ended = end_killed_runs(instance, Path(os.environ["SINET_HOME"]), executor=settings().executor)
    free_slots_of_ended_runs(instance)
    return ended


def killed_runs(instance: "DagsterInstance") -> list[str]:
    """Ids of the runs of the entered home that `end_killed_runs` would end; nothing is written."""
    from resources.killed_runs import killed_runs
    from resources.settings import settings

    return killed_runs(instance, Path(os.environ["SINET_HOME"]), executor=settings().executor)


def all_assets_job() -> tuple[Any, Any]:
    """The job of all assets of the entered project, which other processes can rebuild, and its origin."""
    from resources.dagster_private import (
        ReconstructableRepository,
        RemoteRepositoryOrigin,
        location_origins_from_yaml_paths,
    )

    project = os.environ["SINET_PROJECT"]
    origin = location_origins_from_yaml_paths([str(Path(project) / "workspace.yaml")])[0]
    job_origin = RemoteRepositoryOrigin(origin, "__repository__").get_job_origin("__ASSET_JOB")
    file = str(Path(project) / "assets" / "definitions.py")
    job = ReconstructableRepository.for_file(file, "defs", project).get_reconstructable_job("__ASSET_JOB")
    return job, job_origin


def create_run(instance: "DagsterInstance", planned: Any) -> "tuple[DagsterRun, Any]":
    """Creates a run of the planned assets without executing it; returns the run and its job."""
    from resources.killed_runs import process_tags

    job, job_origin = all_assets_job()
    keys = planned.keys
    subset = job.get_subset(asset_selection=keys)
    # a launched run has no process on this machine by which a kill could be detected
    own = {} if has_instance_of_clusters() else process_tags(os.environ["SINET_HOME"])
    tags = {**own, **planned.tags}
    run = instance.create_run_for_job(
        subset.get_definition(),
        asset_selection=keys,
        tags=tags,
        remote_job_origin=job_origin,
        job_code_origin=job.get_python_origin(),
    )
    return run, subset


def execute(instance: "DagsterInstance", run: "DagsterRun", job: Any) -> None:
    """Executes a run in this process, or with a deployment's instance by its launcher, and waits for its end.

    Dagster's run monitoring looks for the worker of a launched run. A run that this process executes must not be
    marked as launched: monitoring would find no worker, start a second one, and execute the run twice.
    """
    from resources.dagster_private import execute_run

    if not (has_instance_of_clusters() and instance.run_launcher.supports_check_run_worker_health):
        execute_run(job, run, instance)
        return
    _launch(instance, run.run_id)
    try:
        _wait_for(instance, run.run_id)
    except KeyboardInterrupt:  # ends as a run of this process would
        instance.run_launcher.terminate(run.run_id)
        raise


def _launch(instance: "DagsterInstance", run_id: str) -> None:
    """Creates the run's Job.

    Raises:
        ClusterError: the cluster's API rejects it, for example without the Role of `sinet-run`.
    """
    from dagster_k8s.client import DagsterK8sAPIRetryLimitExceeded, DagsterK8sUnrecoverableAPIError

    from sinet_pipelines.deployment.cluster import rights
    from sinet_pipelines.deployment.cluster.api import words_of

    try:
        instance.launch_run(run_id, cast(Any, None))  # this launcher reads the run alone and needs no workspace
    except (DagsterK8sAPIRetryLimitExceeded, DagsterK8sUnrecoverableAPIError) as error:
        refused: Any = error.k8s_api_exception
        regions = this_inventory().regions
        region = next((one for one in regions if one.cluster.runs_dagster), regions[0])
        cure = "see `sinet doctor --clusters`"
        if refused.status == 403:
            cure = rights.cure(region, region.cluster.run_service_account)
        found = f"the API of Dagster's cluster ({region.name}) returns {refused.status} ({words_of(refused)})"
        raise ClusterError(f"the Job of run {run_id[:8]} could not be created: {found}; {cure}") from error


def _wait_for(instance: "DagsterInstance", run_id: str) -> None:
    while True:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        time.sleep(LOOK_EVERY_S)


def dead_endpoints(home: Path) -> "list[dg.AssetKey]":
    """The champions' endpoints whose servers do not respond: never started, or their process is gone.

    An endpoint whose cluster does not respond (`known` is false) is left out: a new run could not repair it.
    """
    from schedules.endpoint import endpoint_keys
    from sinet_pipelines.applications import load_applications
    from sinet_pipelines.deployment.endpoints import endpoints

    champions = [one for one in endpoints(home) if one["name"] == one["model"]]
    living = {one["model"] for one in champions if one["ready"] or not one.get("known", True)}
    return endpoint_keys({one.model for one in load_applications()} - living)


def endpoints_behind(home: Path) -> "list[dg.AssetKey]":
    """The champions' endpoints that serve another version than the one with the alias in MLflow."""
    from schedules.endpoint import endpoint_keys
    from sinet_pipelines.deployment.following import follow

    return endpoint_keys([one.model for one in follow(home) if one.is_behind])
