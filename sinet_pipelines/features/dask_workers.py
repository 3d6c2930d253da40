"""Computes parts of a region's rows on Dask workers of that region.

The step reads the rows, sends each part to a worker and writes the results in their order, so workers need neither
storage nor credentials of it. A part of a worker that ends is computed again by another one. Nothing is written where
the workers fail: the results of a step are one commit.
"""

import logging
import tempfile
import time
import uuid
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import polars as pl

from sinet_pipelines.errors import ClusterError, UsageError, first_line
from sinet_pipelines.features.dask_task import Computed, code_digest, compute_part, lacks_code, other_code, work_of
from sinet_pipelines.features.dask_tls import security_of
from sinet_pipelines.features.in_parts import IN_PROCESS, Compute, Part, peak_mib
from sinet_pipelines.inventory.dask import (
    TARGET_DURATION,
    DaskCluster,
    DaskKind,
    scheduler_address,
    worker_resource,
)

if TYPE_CHECKING:
    from distributed import Client, Future

ROWS_AT_ONCE = 10_000  # of a part of a frame in memory: about a second of a worker
CONNECT_S = 20.0  # longest wait for a scheduler's response
POLL_S = 0.2
CLOSE_S = 10.0
WORKER_MEMORY = {
    "distributed.worker.memory.target": False,  # raw rows of a region are stored in its own root alone
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # without spilling a paused worker would hardly ever continue
}
PARTS_A_SLOT = 2  # one that is computed and one that waits at the worker


@dataclass
class DaskWorkers:
    """The Dask workers of one region; they start, or are connected to, with the first part.

    Attributes:
        cluster: where the workers are.
        region: the region whose rows they compute.
        namespace: namespace of the region's cluster.
        peaks: peak memory of each worker that computed a part since the last `entries`, MiB.
    """

    cluster: DaskCluster
    region: str
    namespace: str = ""
    peaks: dict[str, int] = field(default_factory=dict)
    rows_at_once: int | None = ROWS_AT_ONCE
    _client: "Client | None" = None
    _opened: ExitStack = field(default_factory=ExitStack)

    def map(self, function: Compute, parts: Iterable[Part]) -> Iterator[pl.DataFrame]:
        """As `PartMap.map`."""
        client = self._connected()
        waiting: deque[Future] = deque()
        try:
            for frames in parts:
                if len(waiting) >= PARTS_A_SLOT * self._slots(client):
                    yield self._result(waiting.popleft())
                waiting.append(self._sent(client, function, frames))
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            _release(waiting)

    def entries(self) -> Mapping[str, str | int]:
        """As `PartMap.entries`; where no part was sent since the last call, this process computed all rows."""
        peaks, self.peaks = self.peaks, {}
        if not peaks:
            return IN_PROCESS.entries()
        return {
            "computed_by": f"Dask ({self.cluster.kind})",
            "workers": len(peaks),
            "peak_memory_mib": peak_mib(),
            "worker_peak_memory_mib": max(peaks.values()),
        }

    def workers(self) -> Mapping[str, float]:
        """The address of each worker of the region, with the number of parts that it computes at once.

        Raises:
            ClusterError: the scheduler does not respond, or has no worker of the region.
        """
        return self._of_region(self._connected())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends local workers, and the connection to others."""
        self._client = None
        self._opened.close()

    def _connected(self) -> "Client":
        """The client; a new one where the former lost its scheduler, since no part is in flight then."""
        if self._client is not None and self._client.status != "running":
            self.close()
        if self._client is None:
            with ExitStack() as opened:
                client = self._local(opened) if self.cluster.kind is DaskKind.LOCAL else self._remote(opened)
                self._wait_for_worker(client)
                self._opened, self._client = opened.pop_all(), client
        return self._client

    def _local(self, opened: ExitStack) -> "Client":
        """Workers as processes of this machine, on its loopback and with certificates of their own."""
        from distributed import Client, LocalCluster, Security

        self._require_memory()
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="sinet-dask-"))
        security = Security.temporary()  # else any user of the machine could execute code as this one
        cluster = LocalCluster(
            n_workers=self.cluster.min_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address="127.0.0.1:0",  # a free port
            local_directory=folder,
            memory_limit=f"{self.cluster.worker_memory_mib}MiB",
            config=WORKER_MEMORY,
            resources={worker_resource(self.region): 1},
            env={"POLARS_MAX_THREADS": "1"},
            silence_logs=logging.CRITICAL,
        )
        opened.callback(cluster.close, timeout=CLOSE_S)
        if self.cluster.max_workers > self.cluster.min_workers:
            bounds = self.cluster.min_workers, self.cluster.max_workers
            cluster.adapt(minimum=bounds[0], maximum=bounds[1], target_duration=TARGET_DURATION)
        client = Client(cluster, security=security, set_as_default=False, timeout=CONNECT_S)
        opened.callback(client.close, timeout=CLOSE_S)
        return client

    def _require_memory(self) -> None:
        from distributed.system import memory_limit

        wanted, has = self.cluster.max_workers * self.cluster.worker_memory_mib, memory_limit() >> 20
        if wanted > has:
            raise UsageError(
                f"the local Dask workers of {self.region} may use {wanted} MiB, and the step may use {has} MiB; lower "
                "max_workers or worker_memory_mib in inventory.yaml, or use `kind: kubernetes` for steps in a cluster"
            )

    def _remote(self, opened: ExitStack) -> "Client":
        from distributed import Client

        address, security = self._address, security_of(self.cluster, self.region)
        try:
            client = Client(address, security=security, set_as_default=False, timeout=CONNECT_S)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"the Dask scheduler {address} of {self.region} does not respond within {CONNECT_S:g} s "
                f"({first_line(error)}); start it, check that this machine or pod may connect to it, or remove "
                "`dask` from the region's entry in inventory.yaml"
            ) from error
        opened.callback(client.close, timeout=CLOSE_S)
        return client

    @property
    def _address(self) -> str:
        return scheduler_address(self.cluster, namespace=self.namespace)

    @property
    def _place(self) -> str:
        local = self.cluster.kind is DaskKind.LOCAL
        return f"the local Dask workers of {self.region}" if local else f"the Dask scheduler {self._address}"

    def _wait_for_worker(self, client: "Client") -> None:
        deadline = time.monotonic() + self.cluster.wait_s
        while not self._of_region(client):
            if time.monotonic() > deadline:
                raise self._no_worker(client)
            time.sleep(POLL_S)

    def _no_worker(self, client: "Client") -> ClusterError:
        declared = sorted({name for worker in self._all(client).values() for name in worker["resources"]})
        others = f"its {len(self._all(client))} workers declare: {', '.join(declared) or 'nothing'}"
        return ClusterError(
            f"{self._place} has no worker of {self.region} after {self.cluster.wait_s:g} s ({others}); start workers "
            f"there with `--resources {worker_resource(self.region)}=1`"
        )

    def _of_region(self, client: "Client") -> dict[str, float]:
        wanted = worker_resource(self.region)
        workers = self._all(client)
        return {at: worker["resources"][wanted] for at, worker in workers.items() if worker["resources"].get(wanted)}

    def _all(self, client: "Client") -> Mapping[str, Mapping[str, dict[str, float]]]:
        """All workers of the scheduler. `Client.scheduler_info` would wait for ever for a scheduler that hangs."""
        scheduler = client.scheduler
        if client.status != "running" or scheduler is None:
            raise self._gone(ClusterError("the connection was lost"))
        try:
            return client.sync(scheduler.identity, n_workers=-1, callback_timeout=CONNECT_S)["workers"]
        except (OSError, TimeoutError, CancelledError) as error:
            raise self._gone(error) from error

    def _slots(self, client: "Client") -> int:
        return max(1, int(sum(self._of_region(client).values())))

    def _sent(self, client: "Client", function: Compute, frames: Part) -> "Future":
        from distributed.client import ClosedClientError

        with warnings.catch_warnings():
            # each part is needed once; the scheduler keeps it until it is computed, for a worker that ends
            warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
            try:
                return client.submit(
                    compute_part,
                    work_of(function, frames),
                    code=code_digest(),
                    key=f"features-{self.region}-{uuid.uuid4().hex}",
                    resources={worker_resource(self.region): 1},
                    pure=False,
                )
            except (OSError, CancelledError, ClosedClientError) as error:
                raise self._gone(error) from error

    def _result(self, future: "Future") -> pl.DataFrame:
        from distributed import KilledWorker

        try:
            found: Computed = future.result(timeout=self.cluster.part_s)
        except KilledWorker as error:
            raise ClusterError(
                f"one part of the rows of {self.region} ended several Dask workers in turn, most likely for lack of "
                f"memory ({self.cluster.worker_memory_mib} MiB each); raise worker_memory_mib in inventory.yaml and "
                "run the step again"
            ) from error
        except (RuntimeError, ImportError, AttributeError) as error:
            if lacks_code(error):
                raise ClusterError(other_code(f"{self._place}, or a worker of it,")) from error
            raise
        except (TimeoutError, CancelledError, OSError) as error:
            if future.status == "error":  # raised by the function itself
                raise
            if isinstance(error, TimeoutError) and future.status == "pending":
                raise ClusterError(
                    f"{self._place} did not compute a part of the rows of {self.region} within "
                    f"{self.cluster.part_s:g} s; look at its workers, then run the step again"
                ) from error
            raise self._gone(error) from error
        finally:
            future.release()
        self.peaks[found.worker] = max(found.peak_mib, self.peaks.get(found.worker, 0))
        return found.rows.frame()

    def _gone(self, error: BaseException) -> ClusterError:
        found = first_line(error) if isinstance(error, Exception) else type(error).__name__
        return ClusterError(
            f"{self._place} went away during the step ({found}); the day in progress was not written, so start it, "
            "with more memory if it ended for lack of memory, and run the step again"
        )


def _release(futures: Iterable["Future"]) -> None:
    """Cancels what nobody waits for any more."""
    for future in futures:
        future.release()
