"""Parts of a region's rows on Dask workers: equal results, and one clear error where workers or scheduler fail."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial

import polars as pl
import psutil
import pytest

from sinet_pipelines.errors import ClusterError, ContractError, UsageError
from sinet_pipelines.features import dask_task, dask_workers
from sinet_pipelines.features.dask_task import compute_part, pack
from sinet_pipelines.features.dask_workers import DaskWorkers
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from tests.loopback import free_port
from tests.sinet_pipelines.features.dask_processes import CHECKOUT, running, write_certificates
from tests.sinet_pipelines.features.parts import double, double_slowly, end_always, end_once, refuse, wait
from tests.waiting import until

LOCAL = DaskCluster(DaskKind.LOCAL, min_workers=1, max_workers=1, worker_memory_mib=1024)


def numbers(count):
    return ((pl.DataFrame({"n": [n, n]}),) for n in range(count))


def doubled(count):
    return [[2 * n, 2 * n] for n in range(count)]


def test_local_workers_return_results_in_order_and_raise_what_the_function_raises():
    with DaskWorkers(LOCAL, "EAST") as workers:
        assert [rows["n"].to_list() for rows in workers.map(double, numbers(9))] == doubled(9)
        entries = dict(workers.entries())
        assert (entries["computed_by"], entries["workers"]) == ("Dask (local)", 1)
        assert entries["worker_peak_memory_mib"] > 50
        with pytest.raises(ContractError, match="2 rows are refused"):
            list(workers.map(refuse, numbers(2)))
        assert [rows["n"].to_list() for rows in workers.map(double, numbers(1))] == doubled(1)


def test_a_worker_with_other_code_computes_nothing():
    with pytest.raises(ClusterError, match="has other code or libraries than the step; start the workers from"):
        compute_part(double, [pack(pl.DataFrame({"n": [1]}))], code="0123456789abcdef")


def test_logs_of_dask_show_no_row():
    assert "engine-7" not in repr(pack(pl.DataFrame({"unit": ["engine-7"]})))


def test_a_worker_has_the_code_digest_of_the_step_until_a_source_or_a_library_differs(monkeypatch):
    dask_task.code_digest.cache_clear()
    before = dask_task.code_digest()
    dask_task.code_digest.cache_clear()
    assert dask_task.code_digest() == before
    with monkeypatch.context() as patched:
        patched.setattr(pl, "__version__", "0.0.1")
        dask_task.code_digest.cache_clear()
        assert dask_task.code_digest() != before
    dask_task.code_digest.cache_clear()


def test_a_scheduler_that_nobody_runs_is_named_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.5)
    write_certificates(tmp_path / "tls")
    address = f"tls://127.0.0.1:{free_port()}"
    cluster = DaskCluster(DaskKind.ADDRESS, address=address, tls_folder=str(tmp_path / "tls"))
    with (
        DaskWorkers(cluster, "EAST") as workers,
        pytest.raises(ClusterError, match=f"the Dask scheduler {address} of EAST does not respond within 0.5 s"),
    ):
        list(workers.map(double, numbers(1)))


def test_an_absent_certificate_is_named_before_a_connection_is_made(tmp_path):
    write_certificates(tmp_path / "tls")
    (tmp_path / "tls" / "tls.key").unlink()
    cluster = DaskCluster(DaskKind.ADDRESS, address="tls://127.0.0.1:1", tls_folder=str(tmp_path / "tls"))
    with DaskWorkers(cluster, "EAST") as workers, pytest.raises(UsageError, match="EAST has no file .*tls.key"):
        list(workers.map(double, numbers(1)))


@pytest.mark.slow
def test_a_part_of_a_worker_that_is_killed_is_computed_again(tmp_path):
    with DaskWorkers(LOCAL, "EAST") as workers:
        ends = partial(end_once, mark=str(tmp_path / "ended"))
        assert [rows["n"].to_list() for rows in workers.map(ends, numbers(3))] == doubled(3)
    assert (tmp_path / "ended").exists()


@pytest.mark.slow
def test_more_parts_start_more_workers_up_to_their_bound():
    with DaskWorkers(replace(LOCAL, max_workers=2), "EAST") as workers:
        assert [rows["n"].to_list() for rows in workers.map(double_slowly, numbers(24))] == doubled(24)
        assert len(workers.peaks) == 2


@pytest.mark.slow
def test_workers_end_with_a_step_that_is_killed(tmp_path):
    mark = tmp_path / "started"
    command = [sys.executable, "-m", "tests.sinet_pipelines.features.parts", str(mark)]
    step = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        until(mark.exists)
    finally:
        step.kill()
        step.wait()
    until(lambda: not psutil.pid_exists(int(mark.read_text())))
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 100] == []


@pytest.mark.slow
def test_a_part_that_ends_every_worker_is_one_clear_error():
    with (
        DaskWorkers(LOCAL, "EAST") as workers,
        pytest.raises(ClusterError, match=r"ended several Dask workers .*\(1024 MiB each\); raise worker_memory_mib"),
    ):
        list(workers.map(end_always, numbers(1)))


@pytest.mark.slow
def test_parts_go_only_to_workers_that_declare_the_region(tmp_path):
    with running(tmp_path, region="WEST") as found:
        with DaskWorkers(found.cluster, "WEST") as workers:
            assert [rows["n"].to_list() for rows in workers.map(double, numbers(3))] == doubled(3)
        with (
            DaskWorkers(replace(found.cluster, wait_s=0.5), "EAST") as workers,
            pytest.raises(ClusterError, match=r"no worker of EAST .*declare: region-WEST.*--resources region-EAST=1"),
        ):
            list(workers.map(double, numbers(1)))


@pytest.mark.slow
@pytest.mark.parametrize(("end", "words"), [("kill", "went away during the step"), ("stop", "did not compute a part")])
def test_a_scheduler_that_ends_or_hangs_during_a_step_is_one_clear_error(tmp_path, monkeypatch, end, words):
    monkeypatch.setattr(dask_workers, "CLOSE_S", 1.0)
    with running(tmp_path) as found:
        waits = partial(wait, mark=str(tmp_path / "started"))

        def fail():
            until((tmp_path / "started").exists)
            os.kill(found.scheduler.pid, signal.SIGKILL if end == "kill" else signal.SIGSTOP)

        threading.Thread(target=fail, daemon=True).start()
        with (
            DaskWorkers(replace(found.cluster, part_s=5.0 if end == "stop" else 300.0), "EAST") as workers,
            pytest.raises(ClusterError, match=words),
        ):
            list(workers.map(waits, numbers(1)))
