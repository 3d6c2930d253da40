"""The orchestrator as the desk sees it: its instance for a home, its definitions, and runs started from a command.

A run started here has an origin, so that the UI can execute it again; its process is written on it, so that the next
command knows when it was killed.
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
from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.regions import READ_FROM
from sinet_pipelines.registry.location import relocate
from sinet_pipelines.registry_file import registry_path

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterInstance, DagsterRun

CURRENT_HOME = ".sinet/current"  # in the root's dagster.yaml: the home that was last run
LOOK_EVERY_S = 1.0  # at a run that a launcher has started
FULL_BYTES = 1 << 20  # SQLite calls a full disk an I/O error; a database that grows asks for less than this at once


def enter(project: Path, home: Path) -> None:
    """Makes this process one of the project and the home: environment and import path, before anything is imported.

    Raises:
        UsageError: the project has another `registry.yaml` than the one that this process's regions were read with.
    """
    go_to(project, home)
    _expect_beta()


def go_to(project: Path, home: Path) -> None:
    """As `enter`, for what may end without Dagster: it is not imported.

    Raises:
        UsageError: as of `enter`.
    """
    _go_to_project(project)
    os.environ["SINET_HOME"] = str(home)
    if not has_instance_of_clusters():
        os.environ["DAGSTER_HOME"] = os.environ[OWN_INSTANCE] = str(home / "dagster")
        write_instance_file(project, home)
    relocate(home)


def be_in(project: Path) -> None:
    """Makes this process one of the project, of no home in particular.

    Raises:
        UsageError: as of `enter`.
    """
    _go_to_project(project)
    _expect_beta()


def _go_to_project(project: Path) -> None:
    os.environ["SINET_PROJECT"] = str(project)
    if (wanted := registry_path()) != READ_FROM:
        raise UsageError(
            f"the regions of this process are from {READ_FROM or 'no registry.yaml'} and those of {project} from "
            f"{wanted or 'none'}; set SINET_REGISTRY to the file that is meant, or SINET_PROJECT before it starts"
        )
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))


def _expect_beta() -> None:
    """Keeps quiet about the beta parts of Dagster that this house is pinned to; a test looks at the pin."""
    import warnings

    from dagster import BetaWarning

    warnings.filterwarnings("ignore", category=BetaWarning)


def write_instance_file(project: Path, home: Path) -> None:
    """The root's dagster.yaml with this home's folder in the place of `.sinet/current`."""
    text = yaml.safe_dump(_at_home(yaml.safe_load((project / "dagster.yaml").read_text()), home), sort_keys=False)
    target = home / "dagster" / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        fresh = target.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(target)


def _at_home(said: Any, home: Path) -> Any:
    """The settings with this home's folder wherever a text begins with `.sinet/current`."""
    if isinstance(said, dict):
        return {name: _at_home(value, home) for name, value in said.items()}
    if isinstance(said, str) and said.startswith(CURRENT_HOME):
        return f"{home}{said.removeprefix(CURRENT_HOME)}"
    return said


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
        why = "no space is left; free some" if is_full else f"{error.orig}; mend that"
        raise StorageError(f"Dagster's log in {folder} did not take what was done: {why} and run again") from error


def load_definitions() -> "dg.Definitions":
    """The definitions of the entered project."""
    from assets.definitions import defs

    return defs


def end_killed_runs(instance: "DagsterInstance") -> list[str]:
    """Ends runs of the entered home whose process is gone, and gives back what ended runs hold of pools; their ids."""
    from resources.killed_runs import end_killed_runs, free_slots_of_ended_runs

    ended = end_killed_runs(instance, Path(os.environ["SINET_HOME"]))
    free_slots_of_ended_runs(instance)
    return ended


def all_assets_job() -> tuple[Any, Any]:
    """The job of all assets of the entered project, which other processes can build again, and its origin."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.remote_origin import RemoteRepositoryOrigin
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    project = os.environ["SINET_PROJECT"]
    origin = location_origins_from_yaml_paths([str(Path(project) / "workspace.yaml")])[0]
    job_origin = RemoteRepositoryOrigin(origin, "__repository__").get_job_origin("__ASSET_JOB")
    file = str(Path(project) / "assets" / "definitions.py")
    job = ReconstructableRepository.for_file(file, "defs", project).get_reconstructable_job("__ASSET_JOB")
    return job, job_origin


def create_run(instance: "DagsterInstance", planned: Any) -> "tuple[DagsterRun, Any]":
    """A run of the planned assets, not yet executed, and what executes it."""
    from resources.killed_runs import process_tags

    job, job_origin = all_assets_job()
    keys = planned.keys
    subset = job.get_subset(asset_selection=keys)
    # a run that a launcher starts has no process here, by which it could be found killed
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
    """Executes a run: in this process, or, with the instance of a deployment, by its launcher, whose run is waited for.

    Run monitoring looks for the worker that the launcher made of a run. One that this process executes has none there:
    a second worker would be made of it, and execute it as well.
    """
    from dagster._core.execution.api import execute_run

    if not (has_instance_of_clusters() and instance.run_launcher.supports_check_run_worker_health):
        execute_run(job, run, instance)
        return
    instance.launch_run(run.run_id, cast(Any, None))  # such a launcher reads the run alone, and no workspace
    try:
        _wait_for(instance, run.run_id)
    except KeyboardInterrupt:  # as a run of this process would end
        instance.run_launcher.terminate(run.run_id)
        raise


def _wait_for(instance: "DagsterInstance", run_id: str) -> None:
    while True:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        time.sleep(LOOK_EVERY_S)


def dead_endpoints(home: Path) -> "list[dg.AssetKey]":
    """The champion's endpoint, if its server does not answer: it was never started, or its process is gone."""
    from dagster import AssetKey

    from sinet_pipelines.deployment.endpoints import endpoints

    champions = [one for one in endpoints(home) if one["name"] == one["model"]]
    return [] if any(one["ready"] for one in champions) else [AssetKey(["predictive_maintenance", "endpoint"])]


def endpoints_behind(home: Path) -> "list[dg.AssetKey]":
    """The champion's endpoint, if its server answers with another version than the one that has the alias in MLflow."""
    from dagster import AssetKey

    from sinet_pipelines.deployment.following import follow

    return [AssetKey(["predictive_maintenance", "endpoint"])] if any(one.is_behind for one in follow(home)) else []
