"""A cluster in memory: Jobs become pods, pods become processes, processes end; faults are done to it from outside.

It keeps what Kubernetes 1.36 does where a client can see it. The parts are in files of their own: Jobs, pods, nodes and
the kubelet, what is looked at before a pod is made, and the objects that an operator sets up.
"""

import copy
import threading
import uuid
from collections.abc import Callable
from typing import Any

from tests.clusters.access import Access
from tests.clusters.admission import defaulted, refused
from tests.clusters.events import Events
from tests.clusters.jobs import Job
from tests.clusters.kubelet import Kubelet
from tests.clusters.nodes import Node, stays_s
from tests.clusters.objects import Objects, Site
from tests.clusters.pods import Pod, Process

__all__ = ["Cluster", "Job", "Pod", "Process"]
DISRUPTIONS = {  # reason of the condition: its words, and the event beside it
    "PreemptionByScheduler": ("default-scheduler: preempting to accommodate a higher priority pod", "Preempted"),
    "EvictionByEvictionAPI": ("Eviction API: evicting", ""),
    "DeletionByTaintManager": ("Taint manager: deleting due to NoExecute taint", "TaintManagerEviction"),
    "DeletionByPodGC": ("PodGC: node no longer exists", ""),
}
STARVED = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 71Mi. "
NAMESPACE = "sinet"  # the namespace that every cluster has


class Cluster:
    """The objects of one region's cluster and what runs in it.

    Args:
        name: the region.
        now: what time it is.
        start: makes the process of a pod's next container, `pod.container`.
        start_delay_s: from a pod's creation to its process.
    """

    def __init__(
        self, name: str, *, now: Callable[[], float], start: Callable[[str, Pod], Process], start_delay_s: float = 0.0
    ) -> None:
        self.name, self.now, self._start, self.start_delay_s = name, now, start, start_delay_s
        self.lock = threading.RLock()
        self.objects = Objects(NAMESPACE)
        self.site = Site(self.objects)
        self.access = Access(self.site, now)
        self.nodes: dict[str, Node] = {"node-0": Node("node-0")}
        self.kubelet = Kubelet(self)
        self.events = Events()
        self.jobs: dict[tuple[str, str], Job] = {}
        self.pods: dict[tuple[str, str], Pod] = {}
        self.controllers: list[Callable[[Cluster], None]] = []  # of other kinds, each called at every tick
        self.ghosts: list[Process] = []  # processes of pods that were forgotten while their node was lost
        self.made: list[str] = []  # names of all Jobs ever made
        self.deleted: list[str] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.lag_s = 0.0  # how late its controllers write down what happened
        self.without: set[str] = set()  # resource names that no node has free
        self.unpullable: set[str] = set()
        self.slots: int | None = None  # pods that run at once; None for no limit
        self.stamp = "2026-01-01T00:00:00Z"  # what its clock says, right or wrong
        self.image_user: int | str = "sinet"  # as the image says, by name
        self.is_dark = False  # its nodes do nothing
        self.refuses_pods = ""  # why the API server makes no pod, whatever its objects are
        self.stuck = ""  # what the kubelet says of a container that it cannot start: "reason: message"
        self.beside: dict[str, int | None] = {}  # containers that an admission controller puts beside each worker
        self.mount = ""  # why the kubelet cannot mount a volume; the pod stays in ContainerCreating
        self._count = 0

    def start(self, pod: Pod) -> Process:
        """The process of a pod's next container."""
        return self._start(self.name, pod)

    # what the API does

    def create(self, namespace: str, body: dict[str, Any]) -> Job | None:
        """Makes a Job; None if its name is taken."""
        with self.lock:
            key = (namespace, body["metadata"]["name"])
            if key in self.jobs:
                return None
            self.jobs[key] = job = Job(*key, copy.deepcopy(body), self.now(), uid=str(uuid.uuid4()))
            self.made.append(job.name)
            return job

    def delete(self, namespace: str, name: str, *, policy: str = "Foreground") -> Job | None:
        """Deletes a Job, by default after its pods; None where there is none."""
        with self.lock:
            job = self.jobs.get((namespace, name))
            if job is None:
                return None
            if not job.is_deleted:
                job.is_deleted = True
                self.deleted.append(name)
            if policy != "Foreground":
                del self.jobs[(namespace, name)]
                for pod in self.pods_of(job) if policy == "Background" else []:
                    self.delete_pod(pod)
            return job

    def delete_pod(self, pod: Pod) -> None:
        """Asks for a pod to go: it is told to end, killed after its grace period, and then is no more."""
        pod.is_deleted = True
        self.end(pod)

    def make_pod(
        self, namespace: str, owner_kind: str, owner: str, template: dict[str, Any], *, labels: dict[str, str]
    ) -> Pod | None:
        """A pod of a controller; None where it is refused, which an event at its owner says."""
        neighbours = [pod.spec for pod in self.pods.values() if pod.namespace == namespace and pod.is_live]
        name = f"{owner}-{self._count + 1:05d}"
        words = refused(self.objects, namespace, name, template["spec"], neighbours=neighbours)
        if words := f"Error creating: {words}" if words else self.refuses_pods:
            self.events.record(namespace, owner_kind, owner, "FailedCreate", words, is_warning=True)
            return None
        self._count += 1
        every = {**((template.get("metadata") or {}).get("labels") or {}), **labels}
        spec = defaulted(self.objects, namespace, template["spec"])
        pod = Pod(namespace, name, owner, every, spec, self.now(), owner_kind, beside=dict(self.beside))
        pod.annotations = dict((template.get("metadata") or {}).get("annotations") or {})
        self.pods[(namespace, name)] = pod
        self.events.record(namespace, owner_kind, owner, "SuccessfulCreate", f"Created pod: {name}")
        return pod

    def pods_of(self, job: Job) -> list[Pod]:
        """The pods of a Job."""
        return [pod for pod in self.pods.values() if (pod.namespace, pod.job) == (job.namespace, job.name)]

    def shown_status(self, job: Job) -> dict[str, Any]:
        """The Job's status as its controller has written it, late by the lag."""
        known = [status for at, status in job.history if at <= self.now() - self.lag_s]
        return known[-1] if known else {}

    def shown_pods(self, namespace: str, chosen: Callable[[dict[str, str]], bool]) -> list[dict[str, Any]]:
        """The pods whose labels are chosen, as they were written down, late by the lag."""
        shown = []
        for pod in self.pods.values():
            if pod.namespace == namespace and chosen(pod.labels):
                known = [one for at, one in pod.history if at <= self.now() - self.lag_s]
                shown.extend(known[-1:])
        return shown

    # what happens by itself

    def advance(self) -> None:
        """Lets happen what is due by now."""
        with self.lock:
            due = [one for one in self.later if one[0] <= self.now()]
            self.later = [one for one in self.later if one[0] > self.now()]
            for _, happen in sorted(due, key=lambda one: one[0]):
                happen()
            if self.is_dark:
                return
            self._look_after_nodes()
            for pod in list(self.pods.values()):
                self.kubelet.sync(pod)
            for ghost in self.ghosts:
                ghost.poll()
            for job in list(self.jobs.values()):
                self._control(job)
            for control in self.controllers:
                control(self)
            self._forget()
            self._write_down()

    def _look_after_nodes(self) -> None:
        """Marks pods of nodes that are not heard of, and deletes them when they have been tolerated long enough."""
        for pod in self.pods.values():
            node = self.nodes.get(pod.node)
            if node is None or not node.is_unreachable(self.now()):
                continue
            if not pod.is_silent:
                pod.is_silent, pod.is_ready = True, False
                self.events.record(pod.namespace, "Pod", pod.name, "NodeNotReady", "Node is not ready", is_warning=True)
            stays = stays_s(pod.spec)
            if stays is not None and not pod.is_deleted and self.now() - (node.lost_since or 0.0) >= 50.0 + stays:
                self._take_away(pod, "DeletionByTaintManager")

    def _control(self, job: Job) -> None:
        pods = self.pods_of(job)
        if job.is_deleted or job.is_suspended:
            job.was_suspended = job.was_suspended or job.is_suspended
            for pod in pods:
                self.delete_pod(pod)
            job.count(pods, now=self.now())
            return
        job.started_at = self.now() if job.started_at is None else job.started_at
        had_target = job.target is not None
        if job.count(pods, now=self.now()):
            kind, reason, message = job.condition or ("", "", "")
            is_failed = kind == "Failed"
            found = (reason, message) if is_failed else ("Completed", "Job completed")
            self.events.record(job.namespace, "Job", job.name, *found, is_warning=is_failed)
        if job.target is not None and not had_target:
            for pod in pods:
                if pod.is_live and not pod.is_deleted:
                    self.delete_pod(pod)
                    self.events.record(job.namespace, "Job", job.name, "SuccessfulDelete", f"Deleted pod: {pod.name}")
                    job.note(pod)
        if job.target is None and not any(pod.is_live and not pod.is_deleted for pod in pods):
            labels = {"job-name": job.name, "batch.kubernetes.io/job-name": job.name}
            self.make_pod(job.namespace, "Job", job.name, job.spec["template"], labels=labels)
        if not job.is_kept(self.now()):
            self.delete(job.namespace, job.name)

    def _forget(self) -> None:
        """Removes what was deleted and has ended."""
        for pod in list(self.pods.values()):
            job = self.jobs.get((pod.namespace, pod.job)) if pod.owner_kind == "Job" else None
            is_held = job is not None and not pod.is_counted and not job.is_deleted and not job.is_suspended
            if pod.is_deleted and not pod.is_live and not is_held:
                del self.pods[(pod.namespace, pod.name)]
        for job in list(self.jobs.values()):
            if job.is_deleted and not self.pods_of(job):
                del self.jobs[(job.namespace, job.name)]

    def _write_down(self) -> None:
        for job in self.jobs.values():
            status = job.status(self.pods_of(job), self.stamp)
            if not job.history or job.history[-1][1] != status:
                job.history.append((self.now(), status))
        for pod in self.pods.values():
            state = pod.state()
            if state != pod.written:
                pod.written = state
                pod.history.append((self.now(), pod.shown(self.stamp)))

    # what is done to it

    def end(self, pod: Pod) -> None:
        """Asks a pod to end; it is killed after its grace period."""
        if pod.is_ending_since is None and pod.is_live:
            pod.is_ending_since = self.now()
            if not pod.node:
                pod.phase = "Failed"
            elif not self.is_dark:
                self.kubelet.sync(pod)

    def kill(self, pod: Pod) -> None:
        """Ends a pod at once, without a word to it."""
        if pod.is_live:
            pod.is_ending_since = pod.told_at = self.now()
            if pod.process is not None:
                pod.process.kill()
                self.kubelet.sync(pod)
            pod.phase = "Failed" if pod.is_live else pod.phase

    def disrupt(self, pod: Pod, reason: str, *, is_hard: bool = False) -> None:
        """Takes a pod away for a reason that Kubernetes has a name for; "" for none, `Evicted` by its kubelet."""
        if not pod.is_live:
            return
        if reason == "Evicted":
            pod.reason, pod.message, pod.disruption = "Evicted", STARVED, f"TerminationByKubelet: {STARVED}"
            self.events.record(pod.namespace, "Pod", pod.name, "Evicted", STARVED, is_warning=True)
            self.end(pod)
        else:
            self._take_away(pod, reason)
        self._write_down()
        if is_hard:
            self.kill(pod)

    def _take_away(self, pod: Pod, reason: str) -> None:
        if reason:
            words, event = DISRUPTIONS[reason]
            pod.disruption = f"{reason}: {words}"
            if event:
                message = f"Marking for deletion Pod {pod.namespace}/{pod.name}"
                message = (
                    message if event == "TaintManagerEviction" else f"Preempted by pod {uuid.UUID(int=0)} on {pod.node}"
                )
                self.events.record(pod.namespace, "Pod", pod.name, event, message)
        self.delete_pod(pod)

    def replace(self, pod: Pod) -> None:
        """Kills a pod and forgets it, so that its Job makes another: what a lost node may do (dagster #33755)."""
        self.kill(pod)
        self.pods.pop((pod.namespace, pod.name), None)

    def suspend(self, job: Job, *, is_suspended: bool, is_hard: bool = False) -> None:
        """What a queue does when it takes a Job's quota away, or gives it back."""
        job.spec["suspend"] = is_suspended
        if is_suspended:
            job.started_at = None
            for pod in self.pods_of(job):
                pod.is_deleted = True
                self.kill(pod) if is_hard else self.end(pod)

    def dangling(self) -> list[Job]:
        """Jobs that are there, have not finished and are not about to."""
        return [job for job in self.jobs.values() if not job.is_finished and (job.target is None or job.is_deleted)]
