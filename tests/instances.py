"""Instances of Dagster in tests, with the storage of `dagster.yaml`: an event takes a third of the time there."""

from pathlib import Path

import dagster as dg


def instance_at(folder, **overrides) -> dg.DagsterInstance:
    """The instance whose state is in a folder, for a `with` statement.

    Args:
        folder: made where it is missing.
        overrides: parts of `dagster.yaml` that differ.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    storage = {
        "module": "sinet_pipelines.cli.event_store",
        "class": "OpenSqliteStorage",
        "config": {"base_dir": str(folder)},
    }
    return dg.DagsterInstance.local_temp(str(folder), overrides={"storage": {"custom": storage}, **overrides})
