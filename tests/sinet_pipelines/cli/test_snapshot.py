"""What `sinet status` found is kept until anything changes that it comes from; each kind of change is noticed."""

import os
from datetime import datetime, timedelta

import dagster as dg
import pytest

import sinet_pipelines.cli.snapshot
from sinet_pipelines.cli.snapshot import keep_snapshot, read_snapshot, signature_of
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.storage.roots import Stores, settle_roots
from tests.sinet_pipelines.storage.test_roots import Row

KEY = dg.AssetKey(["EAST", "application", "rows"])
FILES = (
    *("EAST/landing/mill/2026-03-01/a.parquet", "EAST/raw/mill/rows/_delta_log/0.json"),
    "EAST/raw/mill/rows/1.parquet",
    *("EAST/blobs/ab/abc", "feast/online.db", "mlflow.db", "landed/mill.json", "serving/models/rul/1/model.onnx"),
)
FACTS = {"assets": [], "rows": {"sent": 3}}


@pytest.fixture
def home(tmp_path):
    """A home with a file of each kind of storage, and a log of Dagster."""
    found = tmp_path / "home"
    for name in FILES:
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_bytes(b"one")
    return found


@pytest.fixture
def project(tmp_path):
    found = tmp_path / "checkout"
    (found / "assets").mkdir(parents=True)
    (found / "assets" / "training.py").write_text("EPOCHS = 3\n")
    return found


@pytest.fixture
def instance(home):
    (home / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as found:
        found.report_runless_asset_event(dg.AssetMaterialization(KEY, partition="2026-03-01"))
        yield found


@pytest.fixture
def signature(project, home, instance):
    return lambda: signature_of(project, home)


def replace(path, content):
    """Another file under the same name, with the age of the one before."""
    before = path.stat()
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.replace(path)


def overwrite(path, content):
    """Other content of the same size in the same file, with the age of the one before, as `rsync --inplace -t` may."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "a drop more": lambda home: (home / "EAST/landing/mill/2026-03-01/b.parquet").write_bytes(b"two"),
    "a drop replaced by one of its size and age": lambda home: replace(
        home / "EAST/landing/mill/2026-03-01/a.parquet", b"two"
    ),
    "a drop overwritten in its place": lambda home: overwrite(home / "EAST/landing/mill/2026-03-01/a.parquet", b"two"),
    "a registry overwritten in its place": lambda home: overwrite(home / "mlflow.db", b"two"),
    "a record overwritten in its place": lambda home: overwrite(home / "landed/mill.json", b"two"),
    "a drop withdrawn": lambda home: (home / "EAST/landing/mill/2026-03-01/a.parquet").unlink(),
    "a data file cut": lambda home: (home / "EAST/raw/mill/rows/1.parquet").write_bytes(b""),
    "a log entry gone": lambda home: (home / "EAST/raw/mill/rows/_delta_log/0.json").unlink(),
    "a blob that nobody may read": lambda home: (home / "EAST/blobs/ab/abc").chmod(0o000),
    "another online store": lambda home: (home / "feast/online.db").write_bytes(b"other"),
    "an alias moved": lambda home: (home / "mlflow.db").write_bytes(b"other"),
    "a record gone": lambda home: (home / "landed/mill.json").unlink(),
    "a served model gone": lambda home: (home / "serving/models/rul/1/model.onnx").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_storage_is_noticed(signature, home, change):
    before = signature()
    assert before == signature()
    change(home)
    assert signature() not in ("", before)


def test_a_change_of_data_that_lies_outside_of_the_home_is_noticed(signature, home, tmp_path, s3_store, monkeypatch):
    monkeypatch.setenv("SINET_WEST_AT_WEST_ACCESS_KEY_ID", s3_store.key_id)
    monkeypatch.setenv("SINET_WEST_AT_WEST_SECRET_ACCESS_KEY", s3_store.secret)
    stored, elsewhere = Root(f"s3://{s3_store.bucket()}", endpoint_url=s3_store.url), Root(str(tmp_path / "elsewhere"))
    seen = [signature()]
    settle_roots(home, [Row("EAST", elsewhere), Row("WEST", stored)])
    seen.append(signature())
    for place in ("landing/mill/2026-03-01", "raw/mill/rows", "blobs/ab"):
        folder = tmp_path / "elsewhere" / place
        folder.mkdir(parents=True)
        (folder / "one").write_bytes(b"one")
        seen.append(signature())
        Stores(home)["WEST"].put(f"{place}/one", b"one")
        seen.append(signature())
    monkeypatch.delenv("SINET_WEST_AT_WEST_ACCESS_KEY_ID")
    seen.append(signature())
    assert len(set(seen)) == len(seen)


def test_a_change_of_code_or_settings_is_noticed(signature, project, monkeypatch):
    before = signature()
    (project / "assets" / "training.py").write_text("EPOCHS = 40\n")
    changed = signature()
    monkeypatch.setenv("SINET_EXECUTOR", "multiprocess")
    assert len({before, changed, signature()}) == 3


def test_another_day_is_noticed(signature, monkeypatch):
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=1)

    before = signature()
    monkeypatch.setattr(sinet_pipelines.cli.snapshot, "datetime", Tomorrow)
    assert signature() != before


def test_what_is_recorded_wiped_or_run_is_noticed(signature, instance):
    seen = [signature()]
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition="2026-03-02"))
    seen.append(signature())
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(asset_key=KEY, check_name="holds", passed=False))
    seen.append(signature())
    run = dg.DagsterRun("telemetry", status=dg.DagsterRunStatus.FAILURE)
    instance.add_run(run)
    seen.append(signature())
    instance.wipe_assets([KEY])
    seen.append(signature())
    assert "" not in seen
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_while_a_run_is_at_work_nothing_is_kept(signature, instance, status):
    instance.add_run(dg.DagsterRun("telemetry", status=dg.DagsterRunStatus[status]))
    assert signature() == ""


def test_while_a_pool_is_held_nothing_is_kept(signature, instance):
    instance.event_log_storage.set_concurrency_slots("east", 1)
    assert signature() != ""
    instance.event_log_storage.claim_concurrency_slot("east", "run", "step")
    assert signature() == ""


def test_without_a_log_nothing_is_kept(project, home):
    assert signature_of(project, home) == ""


def test_the_facts_of_the_same_signature_are_given_and_no_others(home):
    assert read_snapshot(home, "one") is None
    keep_snapshot(home, "one", FACTS)
    assert read_snapshot(home, "one") == FACTS
    assert read_snapshot(home, "two") is None
    assert read_snapshot(home, "") is None
    (home / "cache" / "status.json").write_bytes(b"{")
    assert read_snapshot(home, "one") is None
