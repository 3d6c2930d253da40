"""One region's cluster for the router: creates, reads and deletes Jobs; every call has a time limit.

An error is final (a repeated request would fail in the same way) or not. After an error that is not final, calls to the
region fail at once for a while, so that a region that does not respond does not delay the steps of other regions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import urllib3.exceptions
from kubernetes.client.rest import ApiException

from resources.router.clock import Clock, Patience
from resources.router.endings import LOG_LINES
from resources.router.seen import WORKER, SeenJob, SeenPod, seen_job, seen_pod
from sinet_pipelines.deployment.cluster.api import is_of_an_api_server, words_of
from sinet_pipelines.errors import ClusterError, first_line

T = TypeVar("T")

FINAL = frozenset({400, 403, 404, 405, 415, 422})  # statuses of a request that will never be accepted
UNTOUCHED = frozenset({401, 403, 409, 410, 429})  # statuses of a request that had no effect
OVER_QUOTA = "exceeded quota"  # in a 403 that is not final: the request may be accepted later
NO_RIGHT = " cannot "  # in a 403: `User "..." cannot create resource "jobs" in API group "batch" ...`
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
TAKEN_AWAY = (
    "Preempted",
    "Evicted",
    "TaintManagerEviction",
)  # events about a pod, which are kept for an hour after the pod is gone
TAKEN_BACK = "Cancelling deletion"  # the node returned in time
RUN_LABEL = "dagster/run-id"


@dataclass
class RegionCluster:
    """The API of one region's cluster.

    Attributes:
        name: the region.
        batch: client of its Jobs.
        core: client of its pods.
        renew: reads the configuration again and returns both clients with valid credentials.
        lacks_right: what to do where the API refuses a request for lack of a right.
        down_since: time of the first failed request; None while requests succeed.
    """

    name: str
    batch: Any
    core: Any
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)
    renew: Callable[[], tuple[Any, Any]] | None = None
    lacks_right: str = ""
    down_since: float | None = None
    _closed_until: float = 0.0
    _failures: int = 0
    _last: str = ""

    def create(self, namespace: str, job: Any) -> None:
        """Creates the Job; succeeds also if exactly this Job exists already.

        Raises:
            ClusterError: it was not created, or (where neither final nor `is_untouched`) may have been.
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
        """Whether the Job of this name belongs to this run and is not being deleted."""
        timeout = self.patience.request_s
        try:
            job = self._call(lambda: self.batch.read_namespaced_job(name, namespace, _request_timeout=timeout))
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return job.metadata.deletion_timestamp is None and (job.metadata.labels or {}).get(RUN_LABEL) == run_id

    def look(self, namespace: str, name: str) -> SeenJob | None:
        """Reads the Job and its pods; None where there is no such Job.

        Raises:
            ClusterError: the request failed.
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
            ClusterError: the request failed.
        """
        found = self._call(
            lambda: self.core.list_namespaced_pod(
                namespace, label_selector=f"job-name={name}", _request_timeout=self.patience.request_s
            )
        )
        return tuple(seen_pod(pod) for pod in found.items)

    def unfinished(self, namespace: str, selector: str) -> list[tuple[str, str, bool]]:
        """Jobs that have not ended: name, run, and whether they are being deleted.

        Raises:
            ClusterError: the request failed.
        """
        timeout = self.patience.request_s
        found = self._call(
            lambda: self.batch.list_namespaced_job(namespace, label_selector=selector, _request_timeout=timeout)
        )
        return [
            (
                job.metadata.name,
                (job.metadata.labels or {}).get(RUN_LABEL, ""),
                job.metadata.deletion_timestamp is not None,
            )
            for job in found.items
            if not seen_job(job, ()).is_finished
        ]

    def delete(self, namespace: str, name: str) -> bool:
        """Requests the deletion of the Job and its pods; True once they are gone (the Job outlives its pods).

        Raises:
            ClusterError: the request failed.
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

    def shorten(self, namespace: str, name: str, *, kept_s: int) -> None:
        """Sets a completed Job to be deleted, with its pod, this many seconds after its end.

        Raises:
            ClusterError: the request failed or was rejected.
        """
        body, timeout = {"spec": {"ttlSecondsAfterFinished": kept_s}}, self.patience.request_s
        try:
            self._call(lambda: self.batch.patch_namespaced_job(name, namespace, body, _request_timeout=timeout))
        except ClusterError as error:
            if error.status != 404:
                raise

    def last_lines(self, namespace: str, pod: str, *, container: str = WORKER) -> tuple[str, ...]:
        """The last lines of the log of a pod's container, or one line with the reason why there is no log."""
        try:
            response = self._call(  # reading the body is part of the call, since it may break off or hang
                lambda: (
                    self.core.read_namespaced_pod_log(
                        pod,
                        namespace,
                        container=container,  # a pod with a sidecar has several, and the API needs the name
                        tail_lines=LOG_LINES,
                        _preload_content=False,
                        _request_timeout=self.patience.request_s,
                    ).data
                )
            )
        except ClusterError as error:
            return (f"(no log: {error})",)
        return tuple(response.decode(errors="replace").splitlines()[-LOG_LINES:])

    def removal_event(self, namespace: str, job: str) -> tuple[str, str] | None:
        """Reason and message of an event by which the cluster explains the removal of a Job's pod; None without one.

        Raises:
            ClusterError: the request failed.
        """
        for reason in TAKEN_AWAY:
            for event in self._events(namespace, f"involvedObject.kind=Pod,reason={reason}"):
                message = event.message or reason
                if event.involved_object.name.startswith(f"{job}-") and not message.startswith(TAKEN_BACK):
                    return reason, message
        return None

    def warning_of(self, namespace: str, kind: str, name: str) -> tuple[str, str] | None:
        """Reason and message of the newest event of a Job or pod if it is a warning; None if the newest is normal.

        Raises:
            ClusterError: the request failed.
        """
        events = self._events(namespace, f"involvedObject.kind={kind},involvedObject.name={name}")
        newest = max(events, key=_when, default=None)  # times of one server, compared with each other only
        if newest is None or newest.type != "Warning":
            return None
        return newest.reason or "", newest.message or newest.reason or ""

    def unprovisioned(self, namespace: str, pod: str) -> str | None:
        """The newest message on why a volume claim of a pod gets no volume; None without one.

        Raises:
            ClusterError: the request failed.
        """
        found = self._events(namespace, "involvedObject.kind=PersistentVolumeClaim,reason=ProvisioningFailed")
        ours = [one for one in found if one.involved_object.name.startswith(f"{pod}-")]  # <pod>-<volume>
        newest = max(ours, key=_when, default=None)
        return f"{newest.involved_object.name}: {newest.message}" if newest else None

    def _events(self, namespace: str, selector: str) -> list[Any]:
        found = self._call(
            lambda: self.core.list_namespaced_event(
                namespace, field_selector=selector, _request_timeout=self.patience.request_s
            )
        )
        return list(found.items)

    def _call(self, request: Callable[[], T]) -> T:
        if self.clock.now() < self._closed_until:
            raise ClusterError(self._last, is_untouched=True)
        try:
            answer = self._with_valid_credentials(request)
        except ApiException as error:
            raise self._refused(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | ConnectionRefusedError)
            raise self._closed(f"does not respond ({first_line(error)})", is_untouched=never_sent) from error
        self.down_since, self._failures = None, 0
        return answer

    def _with_valid_credentials(self, request: Callable[[], T]) -> T:
        """The response of the API; the request is repeated once where credentials or certificate were rejected.

        Before the repetition the configuration is read again. A kubelet renews the token of a run pod's service account
        within the hour, and a corrected kubeconfig reaches a mounted secret within a minute.
        """
        try:
            return answered(request)
        except ApiException as error:
            status = int(error.status or 0)
            if status not in (0, 401) or self.renew is None:
                raise
        try:
            self.batch, self.core = self.renew()
        except ClusterError as error:  # the configuration cannot be read: its file is just being replaced
            problem = f"returns {status}" if status else "has a certificate that is not trusted"
            raise self._closed(f"{problem}, and {error}", status=status, is_untouched=True) from error
        return answered(request)

    def _refused(self, error: ApiException) -> ClusterError:
        status = int(error.status or 0)
        if status == 0:  # no connection: one side does not trust the certificate of the other
            return self._closed(f"does not respond ({' '.join(words_of(error).split())})", is_untouched=True)
        problem = f"returns {status} ({words_of(error)})"
        if status in FINAL and not is_of_an_api_server(error.body):  # the response of a gateway, which has no Jobs
            return self._closed(problem, status=503, is_untouched=False)
        if status == 403 and OVER_QUOTA in problem:  # a quota of Jobs: ended Jobs are deleted after some time
            return ClusterError(f"{self.name}'s API {problem}", status=status, is_untouched=True)
        if status in FINAL:
            self.down_since, self._failures = None, 0
            if status == 403 and NO_RIGHT in problem:
                problem = f"{problem}; {self.lacks_right}"
            return ClusterError(f"{self.name}'s API {problem}", status=status, is_final=True, is_untouched=True)
        if status == 409:  # the object exists, or changed meanwhile: the server works
            return ClusterError(f"{self.name}'s API {problem}", status=status, is_untouched=True)
        wait_s = _retry_after(error)
        return self._closed(problem, status=status, is_untouched=status in UNTOUCHED, wait_s=wait_s)

    def _closed(self, problem: str, *, status: int = 0, is_untouched: bool, wait_s: float = 0) -> ClusterError:
        now = self.clock.now()
        self.down_since = now if self.down_since is None else self.down_since
        self._closed_until = now + max(wait_s, BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)])
        self._failures += 1
        self._last = f"{self.name}'s API {problem}"
        return ClusterError(self._last, status=status, is_untouched=is_untouched)


def answered(request: Callable[[], T]) -> T:
    """The response of a call of the client.

    Raises:
        ApiException: also where the client itself fails on a response without a body (kubernetes 36: TLS errors).
    """
    try:
        return request()
    except AttributeError as error:
        if isinstance(error.__context__, ApiException):
            raise error.__context__ from None
        raise


def _when(event: Any) -> float:
    """When an event last occurred, in seconds of the server's clock."""
    seen = [event.last_timestamp, event.event_time, event.metadata.creation_timestamp]
    if event.series is not None:
        seen.append(event.series.last_observed_time)
    return max((one.timestamp() for one in seen if one is not None), default=0.0)


def _retry_after(error: ApiException) -> float:
    header = (error.headers or {}).get("Retry-After", "")
    return float(header) if header.isdigit() else 0.0
