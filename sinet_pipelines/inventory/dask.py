"""The Dask workers that compute features for a region, as a part of its row; without one, each step computes itself.

- name: EAST
  dask: {kind: local, max_workers: 2, worker_memory_mib: 2048}
- name: WEST
  dask: {kind: address, address: "tls://dask.west:8786", tls_folder: /etc/sinet/dask}
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from sinet_pipelines.errors import InventoryError

PORT = 8786  # Dask's own for a scheduler
EXAMPLE = f"tls://dask.east:{PORT}"
TLS_FILES = ("ca.crt", "tls.crt", "tls.key")  # the keys of a Kubernetes Secret of kind tls
#: Dask wants a worker for each such time of waiting work. A step sends two parts a worker, of a second each: by Dask's
#: own 5 s there would never be a further worker.
TARGET_DURATION = "200ms"
LEAST_MIB = 1024
_NAME = re.compile("[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


class DaskKind(StrEnum):
    """Where the workers are.

    `local` are processes beside the step, `address` a running scheduler, `kubernetes` a DaskCluster of Dask's operator.
    """

    LOCAL = "local"
    ADDRESS = "address"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class DaskCluster:
    """Dask workers of one region, to which its own steps send rows of telemetry.

    Attributes:
        kind: where the workers are.
        min_workers: number of workers that always run.
        max_workers: largest number of workers; between the two the number follows the load.
        worker_memory_mib: memory of a worker; one that needs more is ended. A part takes half a GiB of it.
        address: address of the scheduler, `tls://host:port`; `tcp://` is allowed on this machine's loopback alone.
            Derived for `kubernetes`, empty for `local`.
        tls_folder: folder with `ca.crt`, `tls.crt` and `tls.key`, read at each connection; an absolute path.
        tls_secret: in a cluster, the Secret with these three files; pods of steps, and for `kubernetes` scheduler and
            workers, mount it at `tls_folder`.
        name: for `kubernetes`, name of the DaskCluster.
        wait_s: longest wait for the first worker of a scheduler that responds, seconds.
        part_s: longest wait for one part of the rows (about 40,000), seconds.
    """

    kind: DaskKind
    min_workers: int = 1
    max_workers: int = 2
    worker_memory_mib: int = 2048
    address: str = ""
    tls_folder: str = ""
    tls_secret: str = "sinet-dask"  # noqa: S105 - the name of a secret, no secret
    name: str = "sinet-features"
    wait_s: float = 120.0
    part_s: float = 600.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_workers <= self.max_workers:
            raise InventoryError(
                f"dask has min_workers {self.min_workers} and max_workers {self.max_workers}; give whole numbers of 1 "
                "or more, the first not above the second"
            )
        if self.worker_memory_mib < LEAST_MIB:
            raise InventoryError(
                f"worker_memory_mib of dask is {self.worker_memory_mib}; a worker needs {LEAST_MIB} or more for its "
                "libraries and one part of the rows"
            )
        if min(self.wait_s, self.part_s) <= 0:
            raise InventoryError(f"wait_s and part_s of dask are {self.wait_s:g} and {self.part_s:g}; give seconds")
        if wrong := [name for name in (self.name, self.tls_secret) if not _NAME.fullmatch(name)]:
            allowed = "small letters, digits and '-', at most 42"
            raise InventoryError(f"dask has the name {wrong[0][:80]!r}; allowed are {allowed}")
        if self.tls_folder and not self.tls_folder.startswith("/"):
            raise InventoryError(f"tls_folder of dask is {self.tls_folder[:100]!r}; give an absolute path")
        self._require_address()

    def _require_address(self) -> None:
        if self.kind is not DaskKind.ADDRESS:
            if self.address:
                raise InventoryError(f"dask of kind {self.kind} has an address; remove it, or set `kind: address`")
            if self.kind is DaskKind.KUBERNETES and not self.tls_folder:
                raise InventoryError(f"dask of kind kubernetes has no tls_folder; name the folder with {_files()}")
            return
        if "@" in self.address or "?" in self.address:  # not repeated in the message, since it may have a password
            raise InventoryError(f"the address of dask has a user, a password or a `?`; give one like {EXAMPLE}")
        host = _host(self.address)
        if host is None:
            raise InventoryError(f"the address of dask is {self.address[:100]!r}; give one like {EXAMPLE}")
        if self.address.startswith("tcp:") and not _is_loopback(host):
            raise InventoryError(
                f"the address of dask is {self.address[:100]!r}: rows of telemetry would travel unencrypted to a "
                f"scheduler that accepts anybody; give one like {EXAMPLE}"
            )
        if self.address.startswith("tls:") and not self.tls_folder:
            raise InventoryError(f"dask at {self.address[:100]} has no tls_folder; name the folder with {_files()}")


def scheduler_address(cluster: DaskCluster, *, namespace: str) -> str:
    """The address of a scheduler that is not of kind `local`.

    Args:
        cluster: of a region.
        namespace: namespace of the region's cluster, where a DaskCluster is.
    """
    return cluster.address or f"tls://{cluster.name}-scheduler.{namespace}.svc:{PORT}"


def worker_resource(region: str) -> str:
    """The resource that each worker of a region declares: `dask worker --resources region-EAST=1`.

    Its amount is the number of parts that the worker computes at once. A part of the region's rows is sent only to
    workers that declare it.
    """
    return f"region-{region}"


@dataclass(frozen=True)
class DaskPlace:
    """The Dask workers of a region and the Kubernetes cluster where the region's steps run.

    Attributes:
        dask: the workers; None where steps compute features themselves.
        context: name of the cluster in the operator's kubeconfig.
        namespace: namespace of the steps.
    """

    dask: DaskCluster | None
    context: str = ""
    namespace: str = ""

    def schedulers(self) -> list[str]:
        """Names of the scheduler: equal ones mean one scheduler. A service's name is of its Kubernetes cluster."""
        if self.dask is None or self.dask.kind is DaskKind.LOCAL:
            return []
        found = urlsplit(scheduler_address(self.dask, namespace=self.namespace))
        host = (found.hostname or "").rstrip(".").removesuffix(".cluster.local")
        place = f"{'localhost' if _is_loopback(host) else host}:{found.port}"
        names = [f"{place} of {self.context}"] if host.endswith(".svc") else []
        return [place, *names] if self.dask.kind is DaskKind.ADDRESS else names


def require_own_schedulers(places: Mapping[str, DaskPlace]) -> None:
    """Rejects a scheduler that two regions name: its workers would receive the raw rows of both.

    Two names of one machine, or a name and a number, are not recognised.

    Args:
        places: the Dask workers of each region.

    Raises:
        InventoryError: two regions have one scheduler.
    """
    of: dict[str, str] = {}
    for region, place in places.items():
        for name in place.schedulers():
            if name in of:
                raise InventoryError(
                    f"{of[name]} and {region} have the Dask scheduler {name}, whose workers are of one region; raw "
                    "rows do not leave their region, so give each region its own scheduler"
                )
        of |= dict.fromkeys(place.schedulers(), region)


def _files() -> str:
    return f"{', '.join(TLS_FILES[:-1])} and {TLS_FILES[-1]}"


def _host(address: str) -> str | None:
    """The host of `tls://host:port` or `tcp://host:port`; None where it is no such address."""
    try:
        found = urlsplit(address)
        port = found.port
    except ValueError:
        return None
    is_plain = address.startswith(("tls://", "tcp://")) and found.path in ("", "/") and not found.fragment
    return found.hostname if is_plain and port else None


def _is_loopback(host: str) -> bool:
    if host.rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
