"""Backup and restore: the same bytes, every file checked, whole or not there."""

import json
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing

import pytest

from sinet_pipelines.errors import StorageError, UsageError
from sinet_pipelines.storage.backup import read_manifest, restore_backup, write_backup

KEPT = {
    "landed/mill.json": b"{}",
    "EAST/landing/mill/2026-03-01/my rows #1.parquet": b"rows",
    "EAST/landing/mill/2026-03-01/cache/rows.new": b"a drop may have any name",
    "EAST/landing/mill/2026-03-01/server-7.json": b"and so may a file that is no drop",
    "EAST/raw/mill/raw_rows/_delta_log/00000000000000000000.json": b"log",
    "EAST/raw/mill/raw_rows/event_date=2026-03-01/part-0.parquet": b"data" * 1000,
    "EAST/blobs/refs/mill/candidates/trees": b"a" * 64,
    "EAST/blobs/aa/" + "a" * 64: b"blob",
    "feast/registry.db": b"a protocol buffer, no database",
    "mlflow-artifacts/ex periment/run/artifacts/model.onnx": b"model",
    "serving/models/rul/1/model.onnx": b"graph",
    "empty": b"",
}
LEFT = {
    "run.lock": b"1",
    "feast/.lock": b"1",
    "cache/rows.json": b"{}",
    "EAST/raw/mill/.set_aside/old/part.parquet": b"old",
    "serving/WEST/rul/server-abc.json": b"{}",
    "serving/WEST/rul/current.json": b"{}",
    "EAST/landing/mill/2026-03-01/.rows.parquet.x1": b"half",
    "mlflow.db-wal": b"wal",
}


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "my home #2"
    for name, content in (KEPT | LEFT).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "outside").symlink_to(tmp_path)
    return folder


def files_of(folder):
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name != "mlflow.db":
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def test_a_restored_home_has_the_same_files_without_those_of_a_process(home, tmp_path):
    path, backup = write_backup(home, tmp_path / "b ckup.tar")
    assert read_manifest(path) == backup
    restore_backup(path, tmp_path / "re stored")
    assert files_of(tmp_path / "re stored") == KEPT
    assert backup.size == sum(map(len, KEPT.values()))
    assert not list(tmp_path.glob(".*"))


def test_a_folder_gets_a_file_named_after_home_and_time(home, tmp_path):
    (tmp_path / "backups").mkdir()
    path, _ = write_backup(home, tmp_path / "backups")
    assert path.parent == tmp_path / "backups"
    assert path.name.startswith("my home #2-2")


def test_a_database_that_is_written_to_is_copied_as_of_one_commit(home, tmp_path):
    with closing(sqlite3.connect(home / "mlflow.db")) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")
        path, _ = write_backup(home, tmp_path / "b.tar")
    restore_backup(path, tmp_path / "restored")
    with closing(sqlite3.connect(tmp_path / "restored" / "mlflow.db")) as reader:
        assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_what_refers_to_others_comes_first(home, tmp_path):
    sqlite3.connect(home / "mlflow.db").close()
    path, _ = write_backup(home, tmp_path / "b.tar")
    with tarfile.open(path) as tar:
        names = [name.removeprefix("home/") for name in tar.getnames()]
    of = {
        kind: next(n for n, name in enumerate(names) if kind in name) for kind in ("mlflow.db", "refs/", "_delta_log")
    }
    data = next(n for n, name in enumerate(names) if "event_date=" in name)
    assert of["mlflow.db"] < of["refs/"] < of["_delta_log"] < data
    assert names[-1] == "manifest.json"


def test_nothing_is_overwritten(home, tmp_path):
    path, _ = write_backup(home, tmp_path / "b.tar")
    before = files_of(home)
    with pytest.raises(UsageError, match="is there already"):
        write_backup(home, path)
    with pytest.raises(UsageError, match="overwrites nothing"):
        restore_backup(path, home)
    with pytest.raises(UsageError, match="lies in the home"):
        write_backup(home, home / "b.tar")
    assert files_of(home) == before
    (tmp_path / "vacant").mkdir()
    restore_backup(path, tmp_path / "vacant")
    assert files_of(tmp_path / "vacant") == KEPT


@pytest.mark.parametrize("kind", ["flipped", "cut off", "no archive", "missing", "foreign"])
def test_a_damaged_archive_leaves_no_home(home, tmp_path, kind):
    path, _ = write_backup(home, tmp_path / "b.tar")
    content = path.read_bytes()
    if kind == "flipped":
        path.write_bytes(content.replace(b"data" * 1000, b"date" + b"data" * 999, 1))
    elif kind == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "no archive":
        path.write_bytes(b"text")
    elif kind == "missing":
        path.unlink()
    else:
        with tarfile.open(path, "w") as tar:
            tar.add(home / "empty", "../../outside")
    with pytest.raises((StorageError, UsageError), match="b.tar"):
        restore_backup(path, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert not list(tmp_path.glob(".restored*"))


def test_a_member_that_climbs_out_is_refused(home, tmp_path):
    path, backup = write_backup(home, tmp_path / "b.tar")
    plain = {"home": "x", "created_at": "now", "form": 1, "files": {"../evil": ["0" * 64, 0]}}
    (tmp_path / "manifest.json").write_text(json.dumps(plain))
    with tarfile.open(path, "w") as tar:
        tar.add(home / "empty", "home/../evil")
        tar.add(tmp_path / "manifest.json", "manifest.json")
    with pytest.raises(StorageError, match="evil"):
        restore_backup(path, tmp_path / "restored")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "call", ["write_backup(home, target / 'b.tar')", "restore_backup(target / 'whole.tar', target / 'r')"]
)
def test_a_killed_process_leaves_nothing_under_the_name_and_the_next_one_clears_up(home, tmp_path, call):
    target = tmp_path / "target"
    target.mkdir()
    write_backup(home, target / "whole.tar")
    script = f"""
import os, signal, sys
from pathlib import Path
from sinet_pipelines.storage import backup
from sinet_pipelines.storage.backup import restore_backup, write_backup
home, target = Path(sys.argv[1]), Path(sys.argv[2])
Path.replace = Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{call}
"""
    ended = subprocess.run([sys.executable, "-c", script, str(home), str(target)], check=False)
    assert ended.returncode == -9
    assert [path.name for path in target.iterdir() if not path.name.startswith(".")] == ["whole.tar"]
    write_backup(home, target / "b.tar")
    restore_backup(target / "b.tar", target / "r")
    assert files_of(target / "r") == KEPT
    assert not list(target.glob(".*"))
