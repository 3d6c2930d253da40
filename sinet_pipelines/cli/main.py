"""The command `sinet`: names and arguments; each command's work is in the file of its name, imported when called."""

import errno
import gc
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from sinet_pipelines.errors import SinetError, UsageError
from sinet_pipelines.escaping import for_terminal

try:
    from sinet_pipelines.cli import benchmark, benchmark_failure, land, predict, serve
except SinetError as error:  # a registry.yaml that cannot be read: regions are rows from the first import on
    print(for_terminal(f"sinet: {error}"), file=sys.stderr)
    sys.exit(error.exit_code)

app = typer.Typer(
    name="sinet",
    help="SINet's platform: from a plant's rows to a served model. Exit codes: 0 fine, 1 a check said no, "
    "2 asked wrongly, 3 it failed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

benchmarks = typer.Typer(help="Measure by a published protocol.", no_args_is_help=True)
benchmarks.command("rul")(benchmark.command)
benchmarks.command("failure")(benchmark_failure.command)
app.add_typer(benchmarks, name="benchmark")
app.command("land")(land.command)
app.command("serve")(serve.command)
app.command("predict")(predict.command)

Home = Annotated[Path | None, typer.Option("--home", help="the home of one fleet; default: the one last run")]
Json = Annotated[bool, typer.Option("--json", help="print JSON alone")]
Project = Annotated[Path | None, typer.Option("--project", help="the checkout; default: found upwards from here")]


def main() -> None:
    """Runs the command; an error of the house is one sentence on stderr and its exit code."""
    gc.set_threshold(50_000, 20, 20)  # imports make objects that stay: looking through them is a fifth of a start
    try:
        app()
    except SinetError as error:
        print(for_terminal(f"sinet: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("sinet: stopped; the next `sinet run` goes on where it was", file=sys.stderr)
        sys.exit(3)
    except OSError as error:
        print(for_terminal(f"sinet: {_refusal_of_the_machine(error)}"), file=sys.stderr)
        sys.exit(3)


def _refusal_of_the_machine(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}no space is left; free some and run again, it goes on where it was"
    return f"{place}{error.strerror or error}; mend it and run again"


@app.command()
def run(
    data: Annotated[Path | None, typer.Option("--data", help="a folder in NASA's C-MAPSS format")] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="default: .sinet/simulated, or .sinet/<name of the data folder>")
    ] = None,
    project: Project = None,
    first_day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="pin the fleet's first day")] = None,
    as_json: Json = False,
) -> None:
    """Make a served model from rows, and what is missing on the way.

    Lands a fleet if there is none, makes what is missing, serves and predicts.
    """
    from sinet_pipelines.cli.run import run_walk

    sys.exit(run_walk(data=data, home=home, project=project, first_day=first_day and first_day.date(), as_json=as_json))


@app.command()
def status(home: Home = None, project: Project = None, as_json: Json = False) -> None:
    """Show the state of assets, checks, days, models and endpoints.

    With the account of the rows, the files that are not used, and what storage lost.
    """
    from sinet_pipelines.cli.status import show_status

    show_status(home=home, project=project, as_json=as_json)


@app.command()
def ui(
    home: Home = None,
    project: Project = None,
    port: Annotated[int, typer.Option(help="of Dagster's pages")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="of MLflow's pages")] = 5000,
) -> None:
    """Open Dagster's UI, its daemon and MLflow's UI until stopped.

    On 127.0.0.1, on the state of the home.
    """
    from sinet_pipelines.cli.ui import open_pages

    open_pages(home=home, project=project, port=port, mlflow_port=mlflow_port)


@app.command()
def stop(
    home: Home = None,
    pages: Annotated[bool, typer.Option("--pages", help="end the pages and the daemon alone")] = False,
    as_json: Json = False,
) -> None:
    """End what run, ui and serve started."""
    from sinet_pipelines.cli.ui import stop_all

    stop_all(home=home, as_json=as_json, pages_only=pages)


@app.command()
def render(
    asset: Annotated[
        str | None, typer.Argument(help="EAST/predictive_maintenance/raw_telemetry, or KEY:check_name")
    ] = None,
    all_jobs: Annotated[bool, typer.Option("--all", help="the Job of every asset and check")] = False,
    deploy: Annotated[
        Path | None, typer.Option("--deploy", help="write what each region's cluster is set up with into this folder")
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print the Kubernetes Job of an asset in its region, as YAML.

    Or all of them, or write what clusters are set up with.
    """
    from sinet_pipelines.cli import render as work

    if sum((asset is not None, all_jobs, deploy is not None)) != 1 or (deploy and as_json):
        raise UsageError("give one of: an asset, --all, --deploy DIR (which writes YAML alone)")
    if asset is not None:
        work.show_job(asset, project=project, as_json=as_json)
    elif deploy is not None:
        work.write_deployment(deploy, project=project)
    else:
        work.show_all(project=project, as_json=as_json)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="a new file, or a folder that gets one")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write a home as one archive with checksums.

    Refused while a run is at work in it.
    """
    from sinet_pipelines.cli.backup import back_up

    back_up(target, home=home, as_json=as_json)


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="as `sinet backup` wrote it")],
    home: Annotated[
        Path | None, typer.Option("--home", help="a new folder; default: .sinet/<name in the archive>")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a home of an archive that `sinet backup` wrote.

    Every file is compared with its checksum; an existing home is never overwritten.
    """
    from sinet_pipelines.cli.backup import restore as restore_home

    restore_home(archive, home=home, as_json=as_json)


@app.command()
def doctor(
    home: Home = None,
    clusters: Annotated[bool, typer.Option("--clusters", help="look at the regions' clusters, too")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="read all of the home's storage and compare it")] = False,
    as_json: Json = False,
) -> None:
    """Show what this machine or a cluster lacks, and the cure.

    Clusters are looked at with --clusters, and where steps run there.
    """
    from sinet_pipelines.cli.doctor import examine

    sys.exit(examine(home=home, as_json=as_json, clusters=clusters, deep=deep))
