"""`sinet doctor`: shows what this machine and the regions' clusters lack for a run, and the cure of each."""

import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from sinet_pipelines.cli.doctor_clusters import cluster_findings
from sinet_pipelines.cli.doctor_dask import dask_findings
from sinet_pipelines.cli.doctor_online import online_findings
from sinet_pipelines.cli.doctor_stores import store_findings
from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.cli.home import current_home, find_project
from sinet_pipelines.cli.orchestrator import be_in
from sinet_pipelines.cli.terminal import Terminal, coloured
from sinet_pipelines.errors import SinetError, UsageError
from sinet_pipelines.inventory.regions import this_inventory

MIN_FREE_GIB = 5  # the environment of `make run` and a home of real data, with a reserve
NEEDED = (
    "dagster",
    "dagster-webserver",
    "deltalake",
    "feast",
    "great-expectations",
    "lightgbm",
    "mlflow",
    "onnx",
    "onnxruntime",
    "polars",
    "torch",
)


def examine(*, home: Path | None, as_json: bool, clusters: bool = False, deep: bool = False) -> int:
    """Prints the findings; returns 1 when one is a fault, else 0. What cannot be read from here is not a fault.

    Args:
        home: the home whose endpoint and storage are checked.
        as_json: JSON alone on stdout.
        deep: read all of the home's storage and compare it with what was recorded.
        clusters: check the clusters of the regions also where steps run on this machine.

    Raises:
        UsageError: clusters are to be checked, and there is no checkout.
    """
    findings = [
        check()
        for check in (
            _python,
            _packages,
            _compiler_runtime,
            _disk,
            _checkout,
            lambda: _home(home),
            lambda: _endpoint(home),
        )
    ]
    findings = [finding.at(home) for finding in (*findings, *_storage(home, deep=deep), *_database())]
    if clusters or os.environ.get("SINET_EXECUTOR") == "regions":
        be_in(find_project())  # the checkout has the router, which has the clusters' connections
        findings += [finding for region in this_inventory().regions for finding in cluster_findings(region)]
    findings += store_findings(this_inventory().regions)
    findings += dask_findings(this_inventory().regions)
    findings += online_findings(this_inventory().regions)
    if as_json:
        json.dump([asdict(finding) for finding in findings], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        console = Terminal()
        marks = {True: coloured("ok   ", "green"), False: coloured("lacks", "red"), None: "?    "}
        for finding in findings:
            mark = marks[finding.ok]
            console.print(mark, f"{finding.name}: {finding.found}{'; ' + finding.cure if finding.cure else ''}")
    return 1 if any(finding.ok is False for finding in findings) else 0


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] == (3, 11)
    return Finding(
        "python", ok, version, "" if ok else "install Python 3.11 and run `make run`, which makes its own environment"
    )


def _packages() -> Finding:
    missing = [name for name in NEEDED if not _installed(name)]
    found = f"{len(NEEDED) - len(missing)} of {len(NEEDED)} of the packages of `make run`"
    return Finding("packages", not missing, found, f"{', '.join(missing)} missing: run `make run`" if missing else "")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _compiler_runtime() -> Finding:
    import ctypes.util

    library = ctypes.util.find_library("gomp")
    cure = "" if library else "install libgomp1 (it comes with a C compiler); LightGBM needs it"
    return Finding("OpenMP run-time", bool(library), library or "none", cure)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1024**3
    ok = free >= MIN_FREE_GIB
    return Finding("disk", ok, f"{free:.0f} GiB free", "" if ok else f"free {MIN_FREE_GIB} GiB: a full disk ends a run")


def _checkout() -> Finding:
    return _try("checkout", lambda: str(find_project()))


def _home(home: Path | None) -> Finding:
    return _try("home", lambda: str(current_home(home)))


def _endpoint(home: Path | None) -> Finding:
    from sinet_pipelines.deployment.endpoints import endpoints

    try:
        found = endpoints(current_home(home))
    except SinetError:
        return Finding("endpoint", False, "none, since there is no home", "run `sinet run`")
    ready = [endpoint["url"] for endpoint in found if endpoint["ready"]]
    return Finding("endpoint", bool(ready), ", ".join(ready) or "none responds", "" if ready else "run `sinet run`")


def _storage(home: Path | None, *, deep: bool) -> list[Finding]:
    """Faults of the home's storage; none without a home or a checkout, for which there is a finding already."""
    from sinet_pipelines.cli.doctor_storage import storage_findings

    try:
        return storage_findings(current_home(home), find_project(), deep=deep)
    except UsageError:
        return []
    except SinetError as error:
        return [Finding("storage", False, str(error))]


def _database() -> list[Finding]:
    """Checks the scheme of the production database's URL, where it is set; no other part of the URL is shown."""
    from sinet_pipelines.cli.doctor_objects import scheme_fault
    from sinet_pipelines.manifests.scripts import DATABASE_KEY, SCHEME

    url = os.environ.get(DATABASE_KEY)
    if url is None:
        return []
    fault = scheme_fault(url)
    cure = f"start it with {SCHEME}, which Dagster's storage expects" if fault else ""
    return [Finding("database", not fault, f"{DATABASE_KEY} {fault or 'has the right scheme'}", cure)]


def _try(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except SinetError as error:
        return Finding(name, False, "none", str(error))
