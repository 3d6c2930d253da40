"""`sinet` that dies, or waits, at a point of its walk: `driver.py POINT ARGUMENTS...`; POINT `none` changes nothing.

A point wraps one function of the library and is reached in the course of the real command. Dying is `kill -9` of the
own process: nothing is flushed, closed or told to anybody.
"""

import os
import shutil
import signal
import sys
import time
from functools import wraps
from pathlib import Path

TREES = 20  # in the midst of the first forest


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner, name, *, before=None, after=None, when=lambda *args, **kwargs: True):
    """Calls something before or after a function of a module or class, where a call's arguments ask for it."""
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args, **kwargs):
        chosen = when(*args, **kwargs)
        if chosen and before:
            before()
        result = original(*args, **kwargs)
        if chosen and after:
            after()
        return result

    setattr(owner, name, wrapped)


def landing():
    """Half of a drop is written, under its dotted name, and a third of the fleet has landed."""
    from sinet_pipelines.ingestion.zone_file import ZoneFile

    written = []

    def keep(file, content):
        written.append(file)
        if len(written) == 25:
            path = file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / f".{path.name}.half").write_bytes(content[: len(content) // 2])
            die()
        original(file, content)

    original = ZoneFile.keep
    ZoneFile.keep = keep


def delta_commit():
    """Rows are in Parquet files of the table, and the commit that would name them is not written."""
    from sinet_pipelines.storage import table_writes

    original = table_writes.write_deltalake

    def write(uri, *args, **options):
        result = original(uri, *args, **options)
        if uri.endswith("WEST/raw/turbofan/validated_telemetry"):
            _uncommit(Path(uri) / "_delta_log")
            die()
        return result

    table_writes.write_deltalake = write


def _uncommit(log):
    """Takes the newest commit back: a real kill in the 15 ms between files and commit hits only on an idle machine."""
    *earlier, newest = sorted(log.glob("*.json"))
    newest.unlink()
    if not earlier:
        shutil.rmtree(log)


def before_the_event():
    """A table's days are committed, and the orchestrator has not been told."""
    from sinet_pipelines.storage.tables import TableStore

    wrap(
        TableStore,
        "replace_days",
        after=die,
        when=lambda store, contract, *_, **__: (
            contract.name == "validated_telemetry" and store.root.endswith("/WEST") and store.application == "turbofan"
        ),
    )


def training():
    """A forest is half grown."""
    import lightgbm

    grown = []

    def grow():
        grown.append(1)
        if len(grown) == TREES:
            die()

    wrap(lightgbm.Booster, "update", before=grow)


def tracking():
    """The run of the training is in MLflow in part: it is begun and not finished."""
    from mlflow import MlflowClient

    wrap(MlflowClient, "log_batch", before=die)


def registration():
    """The version is registered and has no alias."""
    from sinet_pipelines.registry import versions

    wrap(versions, "_set_alias", before=die)


def before_the_switch():
    """The new server is ready, and `current.json` names the old one, or none."""
    from sinet_pipelines.deployment import process

    wrap(process, "write_current", before=die)


def after_the_switch():
    """`current.json` names the new server, and the old one goes on."""
    from sinet_pipelines.deployment import process

    wrap(process, "write_current", after=die)


def waiting():
    """The walk holds its home and waits until the file in `$SINET_TEST_GATE` is there."""
    from sinet_pipelines.cli import run

    gate = Path(os.environ["SINET_TEST_GATE"])

    def wait():
        gate.with_suffix(".reached").touch()
        while not gate.exists():
            time.sleep(0.05)

    wrap(run, "_run_all", before=wait)


def none():
    """Nothing is changed."""


POINTS = (
    landing,
    delta_commit,
    before_the_event,
    training,
    tracking,
    registration,
    before_the_switch,
    after_the_switch,
    waiting,
    none,
)

if __name__ == "__main__":
    chosen = {point.__name__: point for point in POINTS}[sys.argv[1]]
    from sinet_pipelines.cli.main import main

    chosen()
    sys.argv = ["sinet", *sys.argv[2:]]
    main()
