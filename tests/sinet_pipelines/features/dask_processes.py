"""A Dask scheduler and its workers as processes of their own, with certificates, as a region would run them."""

import logging
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.inventory.dask import DaskCluster, DaskKind, worker_resource
from tests.loopback import await_port, free_port

CHECKOUT = Path(__file__).parents[3]


@dataclass
class Running:
    """A scheduler with one worker."""

    scheduler: subprocess.Popen
    worker: subprocess.Popen
    cluster: DaskCluster


def write_certificates(folder):
    """One certificate for all sides, as `ca.crt`, `tls.crt` and `tls.key`."""
    from distributed import Security

    made = Security.temporary()
    folder.mkdir()
    (folder / "ca.crt").write_text(made.tls_ca_file)
    (folder / "tls.crt").write_text(made.tls_client_cert)
    (folder / "tls.key").write_text(made.tls_client_key)


@contextmanager
def in_this_process(**regions):
    """A scheduler with workers in this process, each of the region of its name; all end with the block."""
    from distributed import Scheduler, SpecCluster, Worker

    workers = {
        name: {"cls": Worker, "options": {"nthreads": 1, "memory_limit": 0, "resources": {worker_resource(region): 1}}}
        for name, region in regions.items()
    }
    options = {"host": "127.0.0.1", "port": 0, "dashboard": False}
    with SpecCluster(workers, {"cls": Scheduler, "options": options}, silence_logs=logging.CRITICAL) as cluster:
        yield cluster.scheduler, DaskCluster(DaskKind.ADDRESS, address=cluster.scheduler_address)


@contextmanager
def running(folder, *, region="EAST"):
    """A scheduler with one worker of a region; both end with the block."""
    certificates = folder / "tls of the region #1"
    write_certificates(certificates)
    ca, certificate, key = (str(certificates / name) for name in ("ca.crt", "tls.crt", "tls.key"))
    tls = ["--tls-ca-file", ca, "--tls-cert", certificate, "--tls-key", key]
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    at = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    resources = ["--resources", f"{worker_resource(region)}=1", "--nthreads", "1", "--no-nanny"]
    with ExitStack() as stack:
        scheduler = _started(stack, folder / "scheduler.log", "scheduler", *at, "--port", str(port), *tls)
        await_port(port, scheduler, log=folder / "scheduler.log")
        worker = _started(stack, folder / "worker.log", "worker", address, *at[:2], *resources, *tls)
        cluster = DaskCluster(DaskKind.ADDRESS, address=address, tls_folder=str(certificates))
        yield Running(scheduler, worker, cluster)


def _started(stack, log, *command):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "ignore"}
    file = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *command], stdout=file, stderr=file, env=environment, cwd=log.parent
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process
