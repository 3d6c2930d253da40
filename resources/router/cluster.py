"""One region's cluster as the router sees it: create, look at and delete a Job; every call has an end.

An error is final (asking again changes nothing) or not; one that is not closes the door for a while, so that a region
that does not answer costs the other regions' steps no time.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import kubernetes.client
import kubernetes.config
import urllib3.exceptions
from dagster_k8s.client import PatchedApiClient
from kubernetes.client.rest import ApiException

from resources.router.clock import Clock, Patience
from resources.router.endings import LOG_LINES
from resources.router.seen import SeenJob, SeenPod, seen_job, seen_pod
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.regions import Region, get_region

T = TypeVar("T")

FINAL = frozenset({400, 403, 404, 405, 415, 422})  # what a server says to a request that it will never take
UNTOUCHED = frozenset({401, 403, 409, 410, 429})  # what it says before it does anything
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
TAKEN_AWAY = (
    "Preempted",
    "Evicted",
    "TaintManagerEviction",
)  # events that outlive, for an hour, the pod they are about
RUN_LABEL = "dagster/run-id"


@dataclass
class RegionCluster:
    """The API of one region's cluster.

    Attributes:
        name: the region.
        batch: its Jobs.
        core: its pods.
        down_since: since when it has not answered as it should; None while it does.
    """

    name: str
    batch: Any
    core: Any
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)
    down_since: float | None = None
    _closed_until: float = 0.0
    _failures: int = 0
    _last: str = ""

    def create(self, namespace: str, job: Any) -> None:
        """Makes the Job; it is fine if this very Job is there already.

        Raises:
            ClusterError: it could not be made, or (not final, not `is_untouched`) nobody knows.
        """
        name = job.metadata.name
        try:
            self._call(
                lambda: self.batch.create_namespaced_job(namespace, job, _request_timeout=self.patience.request_s)
            )
        except ClusterError as error:
            if error.status != 409:
                raise
            if not self._is_there(namespace, name, run_id=job.metadata.labels.get(RUN_LABEL)):
                raise

    def _is_there(self, namespace: str, name: str, *, run_id: str) -> bool:
        """Whether the Job of this name is this run's and stays."""
        timeout = self.patience.request_s
        try:
            job = self._call(lambda: self.batch.read_namespaced_job(name, namespace, _request_timeout=timeout))
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return job.metadata.deletion_timestamp is None and (job.metadata.labels or {}).get(RUN_LABEL) == run_id

    def look(self, namespace: str, name: str) -> SeenJob | None:
        """The Job and its pods; None where there is no such Job.

        Raises:
            ClusterError: the API does not say.
        """
        timeout = self.patience.request_s
        try:
            job = self._call(lambda: self.batch.read_namespaced_job(name, namespace, _request_timeout=timeout))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        return seen_job(job, self.pods(namespace, name))

    def pods(self, namespace: str, name: str) -> tuple[SeenPod, ...]:
        """The pods of a Job.

        Raises:
            ClusterError: the API does not say.
        """
        found = self._call(
            lambda: self.core.list_namespaced_pod(
                namespace, label_selector=f"job-name={name}", _request_timeout=self.patience.request_s
            )
        )
        return tuple(seen_pod(pod) for pod in found.items)

    def delete(self, namespace: str, name: str) -> bool:
        """Asks for the Job and its pods to go; True once they are gone (the Job outlives its pods).

        Raises:
            ClusterError: the API does not say.
        """
        try:
            self._call(
                lambda: self.batch.delete_namespaced_job(
                    name, namespace, propagation_policy="Foreground", _request_timeout=self.patience.request_s
                )
            )
        except ClusterError as error:
            if error.status == 404:
                return True
            raise
        return False

    def last_lines(self, namespace: str, pod: str) -> tuple[str, ...]:
        """The end of a pod's log, or one line that says why there is none."""
        try:
            said = self._call(  # the body as well: it may break off or hang
                lambda: (
                    self.core.read_namespaced_pod_log(
                        pod,
                        namespace,
                        tail_lines=LOG_LINES,
                        _preload_content=False,
                        _request_timeout=self.patience.request_s,
                    ).data
                )
            )
        except ClusterError as error:
            return (f"(no log: {error})",)
        return tuple(said.decode(errors="replace").splitlines()[-LOG_LINES:])

    def told_of(self, namespace: str, job: str) -> tuple[str, str] | None:
        """Reason and words of an event in which the cluster says why it took a Job's pod away; None without one.

        Raises:
            ClusterError: the API does not say.
        """
        for reason in TAKEN_AWAY:
            for name, message in self._events(namespace, f"involvedObject.kind=Pod,reason={reason}"):
                if name.startswith(f"{job}-"):
                    return reason, message or reason
        return None

    def _events(self, namespace: str, selector: str) -> list[tuple[str, str]]:
        found = self._call(
            lambda: self.core.list_namespaced_event(
                namespace, field_selector=selector, _request_timeout=self.patience.request_s
            )
        )
        return [(event.involved_object.name, event.message or "") for event in found.items]

    def _call(self, ask: Callable[[], T]) -> T:
        if self.clock.now() < self._closed_until:
            raise ClusterError(self._last, is_untouched=True)
        try:
            answer = ask()
        except ApiException as error:
            raise self._refused(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | ConnectionRefusedError)
            raise self._closed(f"does not answer ({first_line(error)})", is_untouched=never_sent) from error
        self.down_since, self._failures = None, 0
        return answer

    def _refused(self, error: ApiException) -> ClusterError:
        status = int(error.status or 0)
        said = f"answers {status} ({_words(error)})"
        if status in FINAL:
            self.down_since, self._failures = None, 0
            return ClusterError(f"{self.name}'s API {said}", status=status, is_final=True, is_untouched=True)
        if status == 409:  # the object is there, or changed meanwhile: the server is well
            return ClusterError(f"{self.name}'s API {said}", status=status, is_untouched=True)
        wait_s = _retry_after(error)
        return self._closed(said, status=status, is_untouched=status in UNTOUCHED, wait_s=wait_s)

    def _closed(self, said: str, *, status: int = 0, is_untouched: bool, wait_s: float = 0) -> ClusterError:
        now = self.clock.now()
        self.down_since = now if self.down_since is None else self.down_since
        self._closed_until = now + max(wait_s, BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
        self._failures += 1
        self._last = f"{self.name}'s API {said}"
        return ClusterError(self._last, status=status, is_untouched=is_untouched)


class RegionClusters:
    """The clusters of the regions by name, each connected when it is first asked for."""

    def __init__(self, *, kubeconfig: str | None, clock: Clock, patience: Patience) -> None:
        self._kubeconfig, self._clock, self._patience = kubeconfig, clock, patience
        self._clusters: dict[str, RegionCluster] = {}

    def get(self, region: str) -> RegionCluster:
        """The cluster of a region.

        Raises:
            ClusterError: the kubeconfig has no such context.
        """
        if region not in self._clusters:
            self._clusters[region] = connect(
                get_region(region), kubeconfig=self._kubeconfig, clock=self._clock, patience=self._patience
            )
        return self._clusters[region]


def connect(region: Region, *, kubeconfig: str | None, clock: Clock, patience: Patience) -> RegionCluster:
    """The cluster of a region, by the context that the region's row names.

    Raises:
        ClusterError: the kubeconfig has no such context.
    """
    configuration = client_configuration(region, kubeconfig=kubeconfig)
    client = PatchedApiClient(configuration=configuration)
    return RegionCluster(
        region.name,
        kubernetes.client.BatchV1Api(client),
        kubernetes.client.CoreV1Api(client),
        clock=clock,
        patience=patience,
    )


def client_configuration(region: Region, *, kubeconfig: str | None) -> Any:
    """How to reach a region's cluster; a call is sent once, since who sends it again must know of the first.

    Raises:
        ClusterError: the kubeconfig has no such context.
    """
    context = region.cluster.kubeconfig_context
    kubeconfig = region.cluster.kubeconfig_file or kubeconfig
    try:
        configuration = kubernetes.config.new_client_from_config(config_file=kubeconfig, context=context).configuration
    except (kubernetes.config.ConfigException, OSError) as error:
        where = kubeconfig or "the default kubeconfig"
        cure = f"add the context to it, or change `kubeconfig_context` of {region.name}"
        raise ClusterError(
            f"{where} has no usable context {context!r} ({first_line(error)}); {cure}", is_final=True
        ) from error
    configuration.retries = False
    return configuration


def _words(error: ApiException) -> str:
    """What a server says beside its number: the message of its status object, else its reason."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return error.reason or "no word"
    return (said.get("message") if isinstance(said, dict) else None) or error.reason or "no word"


def _retry_after(error: ApiException) -> float:
    said = (error.headers or {}).get("Retry-After", "")
    return float(said) if said.isdigit() else 0.0
