"""Parts of a region's rows on Dask workers: equal results, and one clear error where workers or scheduler fail."""

import asyncio
import os
import platform
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import polars as pl
import psutil
import pytest

from sinet_pipelines.errors import ClusterError, ContractError, UsageError
from sinet_pipelines.features import dask_task, dask_tls, dask_workers
from sinet_pipelines.features.dask_task import Work, compute_part, lacks_code, pack, work_of
from sinet_pipelines.features.dask_tls import security_of
from sinet_pipelines.features.dask_workers import WORKER_MEMORY, DaskWorkers
from sinet_pipelines.inventory.dask import DaskCluster, DaskKind
from tests.loopback import free_port
from tests.sinet_pipelines.features.dask_processes import CHECKOUT, in_this_process, running, write_certificates
from tests.sinet_pipelines.features.parts import (
    double,
    double_slowly,
    end_always,
    end_once,
    name_of_worker,
    refuse,
    wait,
)
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
    with pytest.raises(
        ClusterError, match="has other code or libraries than the step; start scheduler and workers from"
    ):
        compute_part(work_of(double, [pl.DataFrame({"n": [1]})]), code="0123456789abcdef")


def test_a_worker_compares_the_code_before_it_reads_a_function_that_it_may_not_have():
    with pytest.raises(ClusterError, match="has other code or libraries than the step"):
        compute_part(Work(b"a pickle of another version"), code="0123456789abcdef")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("Error during deserialization of the task graph. This frequently"), True),
        (ModuleNotFoundError("no module", name="sinet_pipelines.features.new"), True),
        (AttributeError("Can't get attribute 'Work' on <module 'sinet_pipelines.features.dask_task'>"), True),
        (RuntimeError("the features have no spread"), False),
        (ModuleNotFoundError("no module", name="numpy"), False),
        (AttributeError("'NoneType' object has no attribute 'height'"), False),
    ],
)
def test_an_error_of_other_code_differs_from_one_of_the_function(error, expected):
    assert lacks_code(error) is expected


def test_logs_of_dask_show_no_row():
    rows = pl.DataFrame({"unit": ["engine-7"]})
    assert "engine-7" not in repr(pack(rows)) + repr(work_of(double, [rows]))


def test_a_part_is_computed_only_by_a_worker_of_its_region():
    with in_this_process(a="WEST", b="EAST") as (_, cluster), DaskWorkers(cluster, "WEST") as workers:
        found = [rows["worker"].to_list() for rows in workers.map(name_of_worker, numbers(8))]
    assert found == [["a"]] * 8


def test_a_scheduler_that_hangs_between_two_parts_is_one_clear_error(monkeypatch):
    async def never(**_):
        await asyncio.sleep(60)

    with in_this_process(a="EAST") as (scheduler, cluster), DaskWorkers(cluster, "EAST") as workers:
        assert len(list(workers.map(double, numbers(1)))) == 1
        monkeypatch.setattr(dask_workers, "CONNECT_S", 0.2)
        monkeypatch.setitem(scheduler.handlers, "identity", never)
        with pytest.raises(ClusterError, match="went away during the step"):
            list(workers.map(double, numbers(2)))


def test_a_lost_connection_between_two_days_is_made_again():
    with in_this_process(a="EAST") as (_, cluster), DaskWorkers(cluster, "EAST") as workers:
        assert [rows["n"].to_list() for rows in workers.map(double, numbers(1))] == doubled(1)
        workers._client.close()  # as Dask does when it cannot connect again
        assert [rows["n"].to_list() for rows in workers.map(double, numbers(2))] == doubled(2)


def test_a_connection_that_is_lost_during_a_day_is_one_clear_error():
    def parts(workers):
        yield from numbers(1)
        workers._client.close()
        yield from numbers(1)

    with (
        in_this_process(a="EAST") as (_, cluster),
        DaskWorkers(cluster, "EAST") as workers,
        pytest.raises(ClusterError, match="went away during the step"),
    ):
        list(workers.map(double, parts(workers)))


def test_rows_that_no_worker_received_are_recorded_as_computed_by_the_step():
    workers = DaskWorkers(LOCAL, "EAST", peaks={"host:1": 80, "host:2": 90})
    large, small = workers.entries(), workers.entries()
    assert (large["computed_by"], large["workers"], large["worker_peak_memory_mib"]) == ("Dask (local)", 2, 90)
    assert small["computed_by"] == "this process"


def test_local_workers_that_the_memory_of_the_step_does_not_hold_are_refused():
    cluster = replace(LOCAL, max_workers=1024, worker_memory_mib=1 << 20)
    with (
        DaskWorkers(cluster, "EAST") as workers,
        pytest.raises(UsageError, match=r"may use 1073741824 MiB, and the step may use \d+ MiB; lower max_workers"),
    ):
        list(workers.map(double, numbers(1)))


def test_a_worker_is_neither_paused_nor_stores_rows():
    assert set(WORKER_MEMORY) == {f"distributed.worker.memory.{name}" for name in ("target", "spill", "pause")}
    assert not any(WORKER_MEMORY.values())


def test_a_worker_has_the_code_digest_of_the_step_until_a_library_or_the_processor_differs(monkeypatch):
    dask_task.code_digest.cache_clear()
    before = dask_task.code_digest()
    dask_task.code_digest.cache_clear()
    assert dask_task.code_digest() == before
    for owner, name, other in ((pl, "__version__", "0.0.1"), (platform, "machine", lambda: "another")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, other)
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


def test_a_key_that_is_no_key_is_named_before_a_connection_is_made(tmp_path):
    write_certificates(tmp_path / "tls")
    (tmp_path / "tls" / "tls.key").write_text("no key")
    cluster = DaskCluster(DaskKind.ADDRESS, address="tls://127.0.0.1:1", tls_folder=str(tmp_path / "tls"))
    with pytest.raises(UsageError, match=r"the certificates of dask of EAST in .*tls cannot be used \(.*as PEM"):
        security_of(cluster, "EAST")


def test_an_expired_certificate_is_named_before_a_connection_is_made(tmp_path, monkeypatch):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(days=10_000)

    write_certificates(tmp_path / "tls")
    cluster = DaskCluster(DaskKind.ADDRESS, address="tls://127.0.0.1:1", tls_folder=str(tmp_path / "tls"))
    assert security_of(cluster, "EAST") is not None
    monkeypatch.setattr(dask_tls, "datetime", Later)
    with pytest.raises(UsageError, match=r"tls.crt of dask of EAST expired at \d{4}-\d\d-\d\d .* UTC; put a new"):
        security_of(cluster, "EAST")


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
