"""What happens to a pod between its creation and its end: a node, volumes, an image, containers, readiness, an end.

Every step leaves the conditions, states and events that Kubernetes 1.36 leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.clusters.environment import ConfigError, entries, variables
from tests.clusters.nodes import place
from tests.clusters.pods import Pod

if TYPE_CHECKING:
    from tests.clusters.cluster import Cluster

RESTART_S = 10.0  # before a container that ended is started again; twice as long each time
LONGEST_RESTART_S = 300.0
Body = dict[str, Any]


@dataclass
class Kubelet:
    """The scheduler of a cluster, and the kubelets of all its nodes.

    Attributes:
        cluster: whose pods these are.
        probe: asks a container's port whether it is ready; the answer is yes where pods are no processes.
    """

    cluster: "Cluster"
    probe: Callable[[Pod, Body], bool] = lambda pod, probe: True

    def sync(self, pod: Pod) -> None:
        """Brings a pod on; one on a lost node goes on by itself, and nobody hears of it."""
        if not pod.node and pod.phase == "Pending" and not pod.is_deleted:
            self._schedule(pod)
        node = self.cluster.nodes.get(pod.node)
        if pod.node and (node is None or node.is_lost):
            if pod.process is not None:
                pod.process.poll()
            return
        if pod.is_ending_since is not None and pod.told_at is None and self._has_left(pod, pod.is_ending_since):
            self._record_state(pod)
        if pod.is_live and pod.node and pod.process is None and pod.told_at is None:
            self._start(pod)
        if pod.is_live and pod.process is not None:
            self._watch(pod, pod.process)

    def _event(self, pod: Pod, reason: str, message: str, *, is_warning: bool = False) -> None:
        self.cluster.events.record(pod.namespace, "Pod", pod.name, reason, message, is_warning=is_warning)

    # a node

    def _schedule(self, pod: Pod) -> None:
        cluster = self.cluster
        words = self._unclaimed(pod)
        if not words:
            taken: dict[str, list[Body]] = {}
            for other in cluster.pods.values():
                if other.node and other.is_live:
                    taken.setdefault(other.node, []).append(other.spec)
            nodes = cluster.nodes.values()
            node, words = place(pod.spec, nodes, now=cluster.now(), taken=taken, lacking=cluster.without)
            if node is not None:
                pod.node, pod.unschedulable = node.name, ""
                self._event(pod, "Scheduled", f"Successfully assigned {pod.namespace}/{pod.name} to {node.name}")
                return
        if words != pod.unschedulable:
            pod.unschedulable = words
            self._event(pod, "FailedScheduling", words, is_warning=True)

    def _unclaimed(self, pod: Pod) -> str:
        """Why the pod's claims keep it from every node; "" where they do not."""
        objects, total = self.cluster.objects, len(self.cluster.nodes)
        tail = f"preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
        for volume in pod.spec.get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim and objects.get("persistentvolumeclaims", pod.namespace, claim) is None:
                return f'0/{total} nodes are available: persistentvolumeclaim "{claim}" not found. {tail}'
            template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
            kind = template["spec"].get("storageClassName") if template else ""
            if kind and objects.get("storageclasses", "", kind) is None:
                name, lost = f"{pod.name}-{volume['name']}", f'storageclass.storage.k8s.io "{kind}" not found'
                about = (pod.namespace, "PersistentVolumeClaim", name, "ProvisioningFailed", lost)
                self.cluster.events.record(*about, is_warning=True)
                return f"0/{total} nodes are available: pod has unbound immediate PersistentVolumeClaims. {tail}"
        return ""

    # containers

    def _start(self, pod: Pod) -> None:
        cluster = self.cluster
        if pod.restarts_at is not None and cluster.now() < pod.restarts_at:
            return
        if not self._is_ready_to_start(pod):
            return
        pod.waiting, pod.restarts_at = "", None
        container = pod.container
        is_main = pod.is_initialized
        pod.process = cluster.start(pod)
        self._event(pod, "Created", f"Container created: {container['name']}")
        self._event(pod, "Started", f"Container started: {container['name']}")
        if is_main:
            pod.phase, pod.exit_code = "Running", None
            pod.is_ready = not container.get("readinessProbe")
            pod.looked_at = cluster.now()
        else:
            pod.started = len(pod.init_codes) + 1

    def _is_ready_to_start(self, pod: Pod) -> bool:
        """Whether nothing hinders the next container; else the pod says what it waits for."""
        cluster, container = self.cluster, pod.container
        if words := cluster.mount or self._unmounted(pod):
            pod.waiting = "ContainerCreating"
            self._event(pod, "FailedMount", words, is_warning=True)
            return False
        if not pod.has_volumes:
            pod.has_volumes = True
        if container["image"] in cluster.unpullable:
            self._pull_in_vain(pod, container["image"])
            return False
        if words := cluster.stuck or self._misconfigured(pod, container):
            if pod.waiting != words:
                pod.waiting = words
                self._event(pod, "Failed", f"Error: {words.partition(': ')[2]}", is_warning=True)
            return False
        if pod.owner_kind == "Job" and cluster.slots is not None and self._taken() >= cluster.slots:
            pod.waiting = "ContainerCreating"
            return False
        if cluster.now() - pod.created_at < cluster.start_delay_s:
            pod.waiting = "ContainerCreating"
            return False
        if not pod.waiting.startswith("CrashLoop"):
            policy = "already present on machine and can be accessed by the pod"
            self._event(pod, "Pulled", f'Container image "{container["image"]}" {policy}')
        return True

    def _taken(self) -> int:
        """Pods of Jobs that run; those of a Deployment are small, and there all the time."""
        return sum(one.phase == "Running" and one.owner_kind == "Job" for one in self.cluster.pods.values())

    def _pull_in_vain(self, pod: Pod, image: str) -> None:
        cause = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
        words = f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = {cause}'
        if pod.waiting.startswith("ErrImagePull"):
            pod.waiting = f"ImagePullBackOff: {words}"
            self._event(pod, "BackOff", f'Back-off pulling image "{image}"')
            self._event(pod, "Failed", "Error: ImagePullBackOff", is_warning=True)
        elif not pod.waiting.startswith("ImagePullBackOff"):
            pod.waiting = f"ErrImagePull: rpc error: code = NotFound desc = {cause}"
            self._event(pod, "Pulling", f'Pulling image "{image}"')
            self._event(pod, "Failed", f'Failed to pull image "{image}": {cause}', is_warning=True)
            self._event(pod, "Failed", "Error: ErrImagePull", is_warning=True)

    def _unmounted(self, pod: Pod) -> str:
        """The kubelet's words for a volume that it cannot set up; "" where it can."""
        for volume in pod.spec.get("volumes") or []:
            for kind, plural, key in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
                source = volume.get(kind)
                if source is None or source.get("optional"):
                    continue
                failed = f'MountVolume.SetUp failed for volume "{volume["name"]}" : '
                body = self.cluster.objects.get(plural, pod.namespace, source[key])
                if body is None:
                    return f'{failed}{plural.removesuffix("s")} "{source[key]}" not found'
                has = entries(body)
                if missing := [one["key"] for one in source.get("items") or [] if one["key"] not in has]:
                    return (
                        f"{failed}references non-existent {'config' if kind == 'configMap' else kind} key: {missing[0]}"
                    )
        return ""

    def _misconfigured(self, pod: Pod, container: Body) -> str:
        """What the kubelet says of a container that it may not, or cannot, make as its spec says."""
        try:
            variables(pod, container, self.cluster.objects)
        except ConfigError as error:
            return f"CreateContainerConfigError: {error}"
        context = {**(pod.spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        user = context.get("runAsUser", self.cluster.image_user)
        if context.get("runAsNonRoot") and (user == 0 or isinstance(user, str)):
            of = f'(pod: "{pod.name}_{pod.namespace}({pod.uid})", container: {container["name"]})'
            if user == 0:
                return f"CreateContainerConfigError: container has runAsNonRoot and image will run as root {of}"
            words = f"image has non-numeric user ({user}), cannot verify user is non-root"
            return f"CreateContainerConfigError: container has runAsNonRoot and {words} {of}"
        return ""

    # readiness and the end

    def _watch(self, pod: Pod, process: Any) -> None:
        now = self.cluster.now()
        code = process.poll()
        if code is None and pod.told_at is not None and now - pod.told_at >= pod.grace_s:
            process.kill()
            code = process.poll()
        if code is None:
            self._look(pod, now)
        elif not pod.is_initialized:
            self._end_init(pod, process, code)
        elif pod.exit_code is None or pod.told_at is not None:
            self._end_main(pod, process, code)

    def _look(self, pod: Pod, now: float) -> None:
        probe = pod.container.get("readinessProbe") if pod.phase == "Running" else None
        if probe is None or pod.looked_at is None or now - pod.looked_at < probe.get("periodSeconds", 10):
            return
        pod.looked_at = now
        was_ready, pod.is_ready = pod.is_ready, self.probe(pod, probe) and pod.is_ending_since is None
        if was_ready and not pod.is_ready:
            self._event(pod, "Unhealthy", "Readiness probe failed", is_warning=True)

    def _end_init(self, pod: Pod, process: Any, code: int) -> None:
        pod.log, pod.process, pod.last_code = process.log(), None, code
        if code and pod.spec.get("restartPolicy", "Always") != "Never" and pod.told_at is None:
            self._restart_later(pod)
            return
        pod.restarts, pod.last_code = 0, None
        pod.init_codes.append(code)
        if code or pod.told_at is not None:
            pod.phase = "Failed"

    def _end_main(self, pod: Pod, process: Any, code: int) -> None:
        pod.exit_code, pod.exit_reason, pod.log, pod.is_ready = code, process.reason, process.log(), False
        policy = pod.spec.get("restartPolicy", "Always")
        if pod.told_at is None and (policy == "Always" or (policy == "OnFailure" and code)):
            pod.process, pod.last_code = None, code
            self._restart_later(pod)
            return
        if pod.told_at is not None:
            pod.beside = {name: 143 if end is None else end for name, end in pod.beside.items()}
        if None not in pod.beside.values():  # else the pod lives as long as the container beside the worker
            pod.phase = "Failed" if any([code, *pod.beside.values()]) else "Succeeded"

    def _restart_later(self, pod: Pod) -> None:
        wait_s = min(RESTART_S * 2**pod.restarts, LONGEST_RESTART_S)
        pod.restarts += 1
        pod.restarts_at = self.cluster.now() + wait_s
        name = pod.container["name"]
        where = f"{pod.name}_{pod.namespace}({pod.uid})"
        again = f"back-off {wait_s:.0f}s restarting failed container={name} pod={where}"
        pod.waiting = f"CrashLoopBackOff: {again}"
        pod.exit_code = None
        self._event(pod, "BackOff", f"Back-off restarting failed container {name} in pod {where}", is_warning=True)

    def _has_left(self, pod: Pod, since: float) -> bool:
        """Whether `preStop` is over: until then the pod goes on, and no Service sends anything new to it."""
        pod.is_ready = False
        hook = (pod.container.get("lifecycle") or {}).get("preStop") or {}
        wait_s = (hook.get("sleep") or {}).get("seconds", 0) if pod.process is not None else 0
        return self.cluster.now() - since >= wait_s

    def _record_state(self, pod: Pod) -> None:
        """Tells a pod's process to end; it is killed after its grace period."""
        pod.told_at = self.cluster.now()
        pod.is_ready = False
        if pod.process is None:
            pod.phase = "Failed"
            return
        self._event(pod, "Killing", f"Stopping container {pod.container['name']}")
        pod.process.terminate()
