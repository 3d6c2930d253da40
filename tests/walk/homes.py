"""What a test sees of a home from outside: its tables by content, its runs, its model, its server processes."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import polars as pl
import psutil
from dagster._core.events import DagsterEventType

from sinet_pipelines.applications import load_applications
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.storage.layout import table_folder, tables_folders
from sinet_pipelines.storage.tables import TableStore, content_hash
from tests.inventory import REGIONS
from tests.zones import landing_zone

APPLICATION = "turbofan"
MODEL = "turbofan_remaining_useful_life"
CONTRACTS = {(one.name, contract.name): contract for one in load_applications() for contract in one.tables}


def copy_home(source, target):
    """A home as it is, elsewhere: files and nothing but files."""
    return shutil.copytree(source, target)


def folder_of(home, region, table, *, application=APPLICATION):
    """The folder of a table, by its name."""
    return table_folder(home, region, application, CONTRACTS[application, table])


def tables_of(home):
    """The content of every table, by region and name, as the hash of what its rows say."""
    return {
        f"{folder.parents[2].name}/{folder.name}": content_hash(
            _read(folder), CONTRACTS[folder.parent.name, folder.name]
        )
        for folder in sorted(tables_in(home))
    }


def days_of(home, table):
    """The content of every day of a table, by region and day."""
    return {
        (folder.parents[2].name, day): content_hash(rows, CONTRACTS[folder.parent.name, table])
        for folder in sorted(tables_in(home, table))
        for (day,), rows in _read(folder).partition_by("event_date", as_dict=True).items()
    }


def row_hashes(home, table):
    """The sorted names of a table's rows, over all regions."""
    return sorted(row for region in REGIONS for row in read(home, region.name, table)["row_hash"])


def read(home, region, table):
    """A table of a region."""
    return _read(folder_of(home, region, table))


def stray_files(home, region, table):
    """Parquet files of a table that no commit names: what a write left that did not come through."""
    from deltalake import DeltaTable

    folder = folder_of(home, region, table)
    named = set(DeltaTable(str(folder)).file_uris()) if (folder / "_delta_log").exists() else set()
    return {str(path) for path in folder.rglob("*.parquet")} - named


def made_days(home):
    """For each asset with days, the record of each day's last materialisation: another record, another making."""
    with opened(home) as instance:
        return {
            f"{region.name}/{name}": dict(_latest(instance, dg.AssetKey([region.name, APPLICATION, name])))
            for region in REGIONS
            for name in ("raw_telemetry", "validated_telemetry", "window_features")
        }


def remade(before, after):
    """The days of each asset that were made anew between two looks at `made_days`."""
    return {
        name: sorted(day for day, at in days.items() if before[name].get(day) != at) for name, days in after.items()
    }


def opened(home):
    """The home's Dagster instance, to look at."""
    return dg.DagsterInstance.from_config(str(home / "dagster"))


def run_states(home):
    """The status of every run, the newest first."""
    with opened(home) as instance:
        return [run.status.value for run in instance.get_runs()]


def slots_held(home):
    """Runs that hold a place in a pool, or wait for one."""
    with opened(home) as instance:
        storage = instance.event_log_storage
        pools = [storage.get_concurrency_info(pool) for pool in storage.get_concurrency_keys()]
        return storage.get_concurrency_run_ids() | {slot.run_id for pool in pools for slot in pool.claimed_slots}


def servers_of(home):
    """Processes that serve models of this home."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        serves = any("sinet_pipelines.deployment.server" in word for word in words)
        if serves and any(f"{home}/" in word for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def versions_of(home):
    """Every registered version: its number, the hash of its content, its aliases."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        rows = database.execute(
            "SELECT v.version, t.value, (SELECT group_concat(alias) FROM registered_model_aliases a "
            "WHERE a.name = v.name AND a.version = v.version) FROM model_versions v JOIN model_version_tags t "
            "ON t.name = v.name AND t.version = v.version AND t.key = 'sha256' WHERE v.name = ? ORDER BY v.version",
            (MODEL,),
        ).fetchall()
    return [(int(version), sha256, aliases or "") for version, sha256, aliases in rows]


def champion_of(home):
    """The number of the version that serves."""
    (version,) = [number for number, _, aliases in versions_of(home) if "champion" in aliases]
    return version


def mlflow_runs(home):
    """The status of every run in MLflow."""
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        return sorted(
            status for (status,) in database.execute("SELECT status FROM runs WHERE lifecycle_stage = 'active'")
        )


def drop(home, region, day, rows, *, name="late"):
    """Puts rows of one day into a landing zone, as a plant does."""
    return landing_zone(home, TELEMETRY).land(region, day, name=name, rows=rows)


def fleet_days(home):
    """First and last day of the home's layout."""
    from sinet_pipelines.applications.turbofan.fleet import read_fleet

    fleet = read_fleet(home)
    return fleet.first_day, fleet.last_day


def status_of(desk, home):
    """`sinet status --json` of a home."""
    return json.loads(desk("status", "--home", home, "--json").stdout)


def assert_closed(rows):
    """The account of the rows closes."""
    assert rows["sent"] == rows["landed"] + rows["duplicates"]
    assert rows["landed"] == rows["in_tables"] + rows["quarantined"] + rows["withheld"] + rows["pending"]


def _latest(instance, key):
    return instance.event_log_storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)


def tables_in(home, name="[!.]*"):
    """The folders of the home's tables of applications; what regions publish of these is left out."""
    found = [path for folder in tables_folders(home) for path in folder.glob(name)]
    return [path for path in found if (path.parent.name, path.name) in CONTRACTS]


def _contract(folder: Path):
    return CONTRACTS[folder.parent.name, folder.name]


def _read(folder: Path) -> pl.DataFrame:
    return TableStore(str(folder.parents[2]), folder.parent.name).read(_contract(folder))
