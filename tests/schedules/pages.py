"""A real `dagster dev` (pages, daemon, code location) and its GraphQL API, as a browser would ask it."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.waiting import until

LIMIT_S = 240  # two shared cores: a page takes up to a minute to come, a tick some seconds

BACKFILL = """mutation($wanted: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $wanted) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL_STATE = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
    __typename ... on PartitionBackfill { status numCancelable } ... on PythonError { message } } }"""
AGAIN = """mutation($wanted: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $wanted) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN_STATE = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
RUNS = "{ runsOrError { ... on Runs { results { runId status assetSelection { path } tags { key value } } } } }"
DAYS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { assetPartitionStatuses {
    ... on TimePartitionStatuses { ranges { startKey endKey status } } } } } }"""
GAP = """query($key: AssetKeyInput!, $days: [String!]) { assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(partitions: $days, limit: 1) {
        metadataEntries { label ... on TextMetadataEntry { text } } } } } }"""
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"


@dataclass(frozen=True)
class Pages:
    """The pages' API.

    Attributes:
        url: of the GraphQL endpoint.
    """

    url: str

    def ask(self, query, **variables):
        """The data of an answer; an answer with errors fails."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            said = json.load(answer)
        assert "errors" not in said, said["errors"]
        return said["data"]

    def until(self, done, *, limit_s=LIMIT_S):
        """What `done()` gives as soon as it gives something; fails after the limit."""
        try:
            return until(done, limit_s=limit_s, every_s=1)
        except AssertionError as error:
            raise AssertionError(f"{error}; runs: {self.runs()}") from error

    def runs(self):
        """Every run, the newest first: its id, state, the assets it makes (last words of their keys), its tags."""
        return [
            {
                "id": run["runId"],
                "status": run["status"],
                "assets": {(key["path"][0], key["path"][-1]) for key in run["assetSelection"] or []},
                "tags": {tag["key"]: tag["value"] for tag in run["tags"]},
            }
            for run in self.ask(RUNS)["runsOrError"]["results"]
        ]

    def finish(self, run_id):
        """The last state of a run, when it has one."""

        def ended():
            state = self.ask(RUN_STATE, id=run_id)["runOrError"]["status"]
            return state if state in ("SUCCESS", "FAILURE", "CANCELED") else None

        return self.until(ended)

    def gap_of(self, path, day):
        """Why a day of an asset was made without rows, as its page shows it; None where it was made with rows."""
        (made,) = self.ask(GAP, key={"path": path}, days=[day])["assetOrError"]["assetMaterializations"]
        return next((one["text"] for one in made["metadataEntries"] if one["label"] == "gap"), None)

    def made_ranges(self, path):
        """Ranges of days of an asset that are made, as the Partitions tab shows them."""
        said = self.ask(DAYS, key={"path": path})["assetNodeOrError"]["assetPartitionStatuses"]["ranges"]
        return [(one["startKey"], one["endKey"]) for one in said if one["status"] == "MATERIALIZED"]


DAGSTER = (sys.executable, "-W", "ignore", "-m", "dagster")
DG = (sys.executable, "-W", "ignore", "-c", "from dagster_dg_cli.cli import main; main()")


@contextmanager
def dagster_dev(folder, *, environment, command=DAGSTER):
    """A bare `dagster dev` (or `dg dev`) in a folder, as a person starts it; every one of its processes is ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*command, "dev", "-h", "127.0.0.1", "-p", str(port)]
    with (folder / "dagster-dev.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    pages = Pages(f"http://127.0.0.1:{port}/graphql")
    try:
        _await(pages, process)
        yield pages
    finally:
        _end(process)


def _await(pages, process):
    """Waits for the page and for a daemon that is well."""

    def is_well():
        """`dagster dev` is well."""
        assert process.poll() is None, f"`dagster dev` ended with {process.poll()}"
        try:
            daemons = pages.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        except OSError:
            return False
        return daemons and all(one["healthy"] for one in daemons if one["required"])

    until(is_well, limit_s=LIMIT_S, every_s=1)


def _end(process):
    """Ends the process and all its children by their ids; those started as groups of their own outlive it."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in family:
        _signal(one, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=15)
    for one in alive:
        _signal(one, signal.SIGKILL)
    process.wait(timeout=300)


def _signal(process, number):
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
