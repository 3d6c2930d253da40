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
from resources.router.seen import WORKER, SeenJob, SeenPod, seen_job, seen_pod
from sinet_pipelines.deployment.cluster.api import is_of_an_api_server, kubeconfig_errors
from sinet_pipelines.deployment.cluster.proxies import go_by_proxy
from sinet_pipelines.errors import ClusterError, first_line
from sinet_pipelines.regions import Region, get_region

T = TypeVar("T")

FINAL = frozenset({400, 403, 404, 405, 415, 422})  # what a server says to a request that it will never take
UNTOUCHED = frozenset({401, 403, 409, 410, 429})  # what it says before it does anything
OVER_QUOTA = "exceeded quota"  # beside 403: what is refused now may be taken later
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
TAKEN_AWAY = (
    "Preempted",
    "Evicted",
    "TaintManagerEviction",
)  # events that outlive, for an hour, the pod they are about
TAKEN_BACK = "Cancelling deletion"  # the node came back in time
RUN_LABEL = "dagster/run-id"


@dataclass
class RegionCluster:
    """The API of one region's cluster.

    Attributes:
        name: the region.
        batch: its Jobs.
        core: its pods.
        renew: reads the configuration anew and returns both, with the credentials that are valid now.
        down_since: since when it has not answered as it should; None while it does.
    """

    name: str
    batch: Any
    core: Any
    clock: Clock = field(default_factory=Clock)
    patience: Patience = field(default_factory=Patience)
    renew: Callable[[], tuple[Any, Any]] | None = None
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

    def unfinished(self, namespace: str, selector: str) -> list[tuple[str, str, bool]]:
        """Jobs that have not ended: name, run, and whether they are being deleted.

        Raises:
            ClusterError: the API does not say.
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

    def shorten(self, namespace: str, name: str, *, kept_s: int) -> None:
        """Lets a Job that is complete go so many seconds after its end, with its pod.

        Raises:
            ClusterError: the API does not say, or refuses.
        """
        body, timeout = {"spec": {"ttlSecondsAfterFinished": kept_s}}, self.patience.request_s
        try:
            self._call(lambda: self.batch.patch_namespaced_job(name, namespace, body, _request_timeout=timeout))
        except ClusterError as error:
            if error.status != 404:
                raise

    def last_lines(self, namespace: str, pod: str, *, container: str = WORKER) -> tuple[str, ...]:
        """The end of the log of a pod's container, or one line that says why there is none."""
        try:
            said = self._call(  # the body as well: it may break off or hang
                lambda: (
                    self.core.read_namespaced_pod_log(
                        pod,
                        namespace,
                        container=container,  # a pod with a proxy has more than one, and the API wants the name
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
            for event in self._events(namespace, f"involvedObject.kind=Pod,reason={reason}"):
                said = event.message or reason
                if event.involved_object.name.startswith(f"{job}-") and not said.startswith(TAKEN_BACK):
                    return reason, said
        return None

    def warned_of(self, namespace: str, kind: str, name: str) -> tuple[str, str] | None:
        """Reason and words of the newest event about a Job or pod, if it is a warning; None where all goes well since.

        Raises:
            ClusterError: the API does not say.
        """
        events = self._events(namespace, f"involvedObject.kind={kind},involvedObject.name={name}")
        newest = max(events, key=_when, default=None)  # by the server's own clock, which is compared with itself alone
        if newest is None or newest.type != "Warning":
            return None
        return newest.reason or "", newest.message or newest.reason or ""

    def unprovisioned(self, namespace: str, pod: str) -> str | None:
        """The newest words for which a claim that was made for a pod gets no volume; None without any.

        Raises:
            ClusterError: the API does not say.
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

    def _call(self, ask: Callable[[], T]) -> T:
        if self.clock.now() < self._closed_until:
            raise ClusterError(self._last, is_untouched=True)
        try:
            answer = self._with_valid_credentials(ask)
        except ApiException as error:
            raise self._refused(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            never_sent = isinstance(error, urllib3.exceptions.NewConnectionError | ConnectionRefusedError)
            raise self._closed(f"does not answer ({first_line(error)})", is_untouched=never_sent) from error
        self.down_since, self._failures = None, 0
        return answer

    def _with_valid_credentials(self, ask: Callable[[], T]) -> T:
        """The answer; where the API takes no credentials, or its certificate is not trusted, it is asked once more.

        The configuration is read anew before that: a kubelet renews the token of a run pod's service account within
        the hour, and a kubeconfig with another authority reaches a mounted secret a minute after it was put right.
        """
        try:
            return answered(ask)
        except ApiException as error:
            status = int(error.status or 0)
            if status not in (0, 401) or self.renew is None:
                raise
        try:
            self.batch, self.core = self.renew()
        except ClusterError as error:  # the configuration could not be read again: a file that is being replaced
            said = f"answers {status}" if status else "has a certificate that is not trusted"
            raise self._closed(f"{said}, and {error}", status=status, is_untouched=True) from error
        return answered(ask)

    def _refused(self, error: ApiException) -> ClusterError:
        status = int(error.status or 0)
        if status == 0:  # no connection was made: the certificate of the one or the other is not trusted
            return self._closed(f"does not answer ({' '.join(_words(error).split())})", is_untouched=True)
        said = f"answers {status} ({_words(error)})"
        if status in FINAL and not is_of_an_api_server(
            error.body
        ):  # a gateway before it, which knows nothing of the Job
            return self._closed(said, status=503, is_untouched=False)
        if status == 403 and OVER_QUOTA in said:  # of Jobs: they go some time after their end
            return ClusterError(f"{self.name}'s API {said}", status=status, is_untouched=True)
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

    def apis() -> tuple[Any, Any]:
        client = PatchedApiClient(configuration=client_configuration(region, kubeconfig=kubeconfig))
        return kubernetes.client.BatchV1Api(client), kubernetes.client.CoreV1Api(client)

    return RegionCluster(region.name, *apis(), clock=clock, patience=patience, renew=apis)


def client_configuration(region: Region, *, kubeconfig: str | None) -> Any:
    """How to reach a region's cluster; a call is sent once, since who sends it again must know of the first.

    Raises:
        ClusterError: the kubeconfig has no such context.
    """
    context = region.cluster.kubeconfig_context
    kubeconfig = region.cluster.kubeconfig_file or kubeconfig
    try:
        configuration = kubernetes.config.new_client_from_config(config_file=kubeconfig, context=context).configuration
    except kubeconfig_errors() as error:
        where = kubeconfig or "the default kubeconfig"
        cure = f"add the context to it, or change `kubeconfig_context` of {region.name}"
        raise ClusterError(
            f"{where} has no usable context {context!r} ({first_line(error)}); {cure}", is_final=True
        ) from error
    go_by_proxy(configuration, file=kubeconfig, context=context)
    configuration.retries = False
    return configuration


def answered(ask: Callable[[], T]) -> T:
    """The answer of a call of the client.

    Raises:
        ApiException: also where the client stumbles over one without a body (kubernetes 36: a TLS error, status 0).
    """
    try:
        return ask()
    except AttributeError as error:
        if isinstance(error.__context__, ApiException):
            raise error.__context__ from None
        raise


def _when(event: Any) -> float:
    """When an event was last seen, in the seconds of the server's clock."""
    seen = [event.last_timestamp, event.event_time, event.metadata.creation_timestamp]
    if event.series is not None:
        seen.append(event.series.last_observed_time)
    return max((one.timestamp() for one in seen if one is not None), default=0.0)


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
