"""The command `sinet`: names and arguments. The work of each command is in the module of its name, imported on use."""

import errno
import gc
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from sinet_pipelines.errors import SinetError, UsageError
from sinet_pipelines.escaping import for_terminal

try:
    from sinet_pipelines.cli import backfill, benchmark, benchmark_failure, ingest, land, place, predict, pull, serve
except SinetError as error:  # an unreadable inventory.yaml: the regions are read at the first import
    print(for_terminal(f"sinet: {error}"), file=sys.stderr)
    sys.exit(error.exit_code)

app = typer.Typer(
    name="sinet",
    help="SINet's AI platform: from rows of sensor data to a served model. Exit codes: 0 success, "
    "1 a check failed, 2 wrong usage or input, 3 the command failed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

benchmarks = typer.Typer(help="Run a published benchmark protocol.", no_args_is_help=True)
benchmarks.command("rul")(benchmark.command)
benchmarks.command("failure")(benchmark_failure.command)
app.add_typer(benchmarks, name="benchmark")
app.add_typer(backfill.commands, name="backfill")
app.command("land")(land.command)
app.command("ingest")(ingest.command)
app.command("pull")(pull.command)
app.command("place")(place.command)
app.command("serve")(serve.command)
app.command("predict")(predict.command)

Home = Annotated[Path | None, typer.Option("--home", help="the home of one fleet; default: the one last run")]
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]
Project = Annotated[Path | None, typer.Option("--project", help="the checkout; default: this folder or one above it")]


def main() -> None:
    """Runs the command; an error of the platform is printed on stderr as one sentence, with its exit code."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a script's `&`: Dagster would also ignore SIGTERM then,
        signal.signal(signal.SIGINT, signal.default_int_handler)  # and so would every process that it starts
    gc.set_threshold(50_000, 20, 20)  # imports make lasting objects: at the default, their collection is 1/5 of a start
    try:
        app()
    except SinetError as error:
        print(for_terminal(f"sinet: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("sinet: stopped; the next `sinet run` continues where it stopped", file=sys.stderr)
        sys.exit(3)
    except OSError as error:
        print(for_terminal(f"sinet: {_refusal_of_the_machine(error)}"), file=sys.stderr)
        sys.exit(3)


def _refusal_of_the_machine(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}no space is left; free some and run again: the run continues where it stopped"
    return f"{place}{error.strerror or error}; correct it and run again"


@app.command()
def run(
    applications: Annotated[
        list[str] | None, typer.Argument(metavar="[APPLICATION]...", help="applications to make; default: all")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="a folder in a format that an application reads")] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="default: .sinet/simulated, or .sinet/<name of the data folder>")
    ] = None,
    project: Project = None,
    first_day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the first landed day")] = None,
    as_json: Json = False,
) -> None:
    """Make everything from landed rows to served models.

    Lands data if there are none, makes what is missing or stale, starts the endpoints and predicts.
    """
    from sinet_pipelines.cli.run import run_applications

    day = first_day and first_day.date()
    sys.exit(
        run_applications(applications or (), data=data, home=home, project=project, first_day=day, as_json=as_json)
    )


@app.command()
def status(home: Home = None, project: Project = None, as_json: Json = False) -> None:
    """Show the state of assets, checks, days, models and endpoints.

    Also shows the row account, unused files in landing zones, and lost storage.
    """
    from sinet_pipelines.cli.status import show_status

    show_status(home=home, project=project, as_json=as_json)


@app.command()
def ui(
    home: Home = None,
    project: Project = None,
    port: Annotated[int, typer.Option(help="of Dagster's UI")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="of MLflow's UI")] = 5000,
) -> None:
    """Start the UIs of Dagster and MLflow, and Dagster's daemon.

    They show the state of the home and listen on 127.0.0.1 until they are stopped.
    """
    from sinet_pipelines.cli.ui import open_pages

    open_pages(home=home, project=project, port=port, mlflow_port=mlflow_port)


@app.command()
def stop(
    home: Home = None,
    pages: Annotated[bool, typer.Option("--pages", help="end the UIs and the daemon alone")] = False,
    as_json: Json = False,
) -> None:
    """End what run, ui and serve started."""
    from sinet_pipelines.cli.ui import stop_all

    stop_all(home=home, as_json=as_json, pages_only=pages)


@app.command()
def render(
    asset: Annotated[str | None, typer.Argument(help="its key, REGION/application/name, or KEY:check_name")] = None,
    all_jobs: Annotated[bool, typer.Option("--all", help="the Job of every asset and check")] = False,
    deploy: Annotated[
        Path | None, typer.Option("--deploy", help="write the Kubernetes manifests of each region into this folder")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="write the bucket policy of each region's store into this folder")
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print the Kubernetes Job of an asset in its region, as YAML.

    Or print all Jobs, or write the manifests that set up the clusters, or the policies of the stores.
    """
    from sinet_pipelines.cli import render as work

    if sum((asset is not None, all_jobs, deploy is not None, policies is not None)) != 1 or (
        as_json and (deploy or policies)
    ):
        raise UsageError("name one of: an asset, --all, --deploy DIR, --policies DIR (the last two without --json)")
    if policies is not None:
        work.write_policies(policies)
    elif asset is not None:
        work.show_job(asset, project=project, as_json=as_json)
    elif deploy is not None:
        work.write_deployment(deploy, project=project)
    else:
        work.show_all(project=project, as_json=as_json)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="a new file, or a folder for it")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write a home as one archive with checksums.

    Fails while a run is in progress in the home.
    """
    from sinet_pipelines.cli.backup import back_up

    back_up(target, home=home, as_json=as_json)


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="an archive that `sinet backup` wrote")],
    home: Annotated[
        Path | None, typer.Option("--home", help="a new folder; default: .sinet/<name in the archive>")
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore a home from an archive that `sinet backup` wrote.

    Every file is compared with its checksum. An existing home is never overwritten.
    """
    from sinet_pipelines.cli.backup import restore as restore_home

    restore_home(archive, home=home, as_json=as_json)


@app.command()
def retain(
    home: Home = None,
    project: Project = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan and remove nothing")] = False,
    claim: Annotated[
        str | None, typer.Option(metavar="REGION", help="from now on, this home alone removes data of this region")
    ] = None,
    as_json: Json = False,
) -> None:
    """Remove what nothing needs, and show why the rest stays.

    Covers files of earlier table versions, training sets, blobs, files of MLflow's runs, and runs of Dagster.
    """
    from sinet_pipelines.cli.retain import retain as work

    work(home=home, project=project, dry_run=dry_run, as_json=as_json, claim=claim)


@app.command()
def doctor(
    home: Home = None,
    clusters: Annotated[bool, typer.Option("--clusters", help="check the regions' clusters, too")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="read all of the home's storage and compare it")] = False,
    as_json: Json = False,
) -> None:
    """Show what this machine or a cluster lacks, and the cure.

    Clusters are checked with --clusters, and where steps run on them.
    """
    from sinet_pipelines.cli.doctor import examine

    sys.exit(examine(home=home, as_json=as_json, clusters=clusters, deep=deep))
