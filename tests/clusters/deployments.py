"""Deployments and Services of a cluster in memory: ReplicaSets that roll over, and a proxy before a Service's pods.

Rolling updates are those of maxSurge 1 and maxUnavailable 0, the only ones that are applied here.
"""

import hashlib
import json
import socket
import threading
from contextlib import suppress
from typing import Any

from tests.clusters.cluster import Cluster
from tests.clusters.pods import Pod

Body = dict[str, Any]
KEPT = 10  # ReplicaSets, where a Deployment does not say


class Deployments:
    """The controllers of Deployments and ReplicaSets: called at every tick of a cluster."""

    def __init__(self) -> None:
        self._progress: dict[str, tuple[Any, float]] = {}  # uid -> what was seen last, and since when it is so

    def __call__(self, cluster: Cluster) -> None:
        """Brings every Deployment on, and ends the pods of those that are gone."""
        wanted = set()
        for body in cluster.objects.list("deployments"):
            metadata = body["metadata"]
            wanted.add((metadata["namespace"], metadata["name"]))
            self._control(cluster, body)
        for owner in cluster.objects.list("replicasets"):
            metadata = owner["metadata"]
            if (metadata["namespace"], metadata["labels"]["deployment"]) not in wanted:
                for pod in _pods_of(cluster, metadata["name"]):
                    cluster.delete_pod(pod)
                cluster.objects.delete("replicasets", metadata["namespace"], metadata["name"])

    def _control(self, cluster: Cluster, body: Body) -> None:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        replica_sets = self._replica_sets(cluster, body)
        newest = replica_sets[-1]["metadata"]["name"]
        pods = {one["metadata"]["name"]: _pods_of(cluster, one["metadata"]["name"]) for one in replica_sets}
        new, count = pods[newest], body["spec"].get("replicas", 1)
        old = [pod for owner, found in pods.items() if owner != newest for pod in found]
        is_refused = False
        if not body["spec"].get("paused"):
            while len(new) < count and len(new) + len(old) < count + 1 and not is_refused:
                template = replica_sets[-1]["spec"]["template"]
                made = cluster.make_pod(namespace, "ReplicaSet", newest, template, labels={"pod-template-hash": newest})
                is_refused = made is None
                new += [made] if made else []
            for pod in _surplus(new, old, count):
                cluster.delete_pod(pod)
        live = [pod for pod in [*new, *old] if not pod.is_deleted]
        status = self._status(cluster, body, live, [pod for pod in new if not pod.is_deleted], is_refused=is_refused)
        if status != body.get("status"):
            cluster.objects.put("deployments", namespace, name, {**body, "status": status})

    def _replica_sets(self, cluster: Cluster, body: Body) -> list[Body]:
        """Those of a Deployment, the one of its template last; older ones than it keeps are forgotten."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        template = body["spec"]["template"]
        own = f"{name}-{hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]}"
        found = [
            one
            for one in cluster.objects.list("replicasets", namespace)
            if one["metadata"]["labels"]["deployment"] == name
        ]
        revision = max((int(one["metadata"]["annotations"]["revision"]) for one in found), default=0)
        newest = next((one for one in found if one["metadata"]["name"] == own), None)
        if newest is None or int(newest["metadata"]["annotations"]["revision"]) < revision:
            metadata = {"labels": {"deployment": name}, "annotations": {"revision": str(revision + 1)}}
            newest = cluster.objects.put(
                "replicasets", namespace, own, {"metadata": metadata, "spec": {"template": template}}
            )
        others = [one for one in found if one["metadata"]["name"] != own]
        others.sort(key=lambda one: int(one["metadata"]["annotations"]["revision"]))
        empty = [one for one in others if not _pods_of(cluster, one["metadata"]["name"])]
        for one in empty[: max(0, len(empty) - body["spec"].get("revisionHistoryLimit", KEPT))]:
            cluster.objects.delete("replicasets", namespace, one["metadata"]["name"])
            others.remove(one)
        return [*others, newest]

    def _status(self, cluster: Cluster, body: Body, live: list[Pod], new: list[Pod], *, is_refused: bool) -> Body:
        count, generation = body["spec"].get("replicas", 1), body["metadata"]["generation"]
        ready = sum(pod.is_ready for pod in live)
        numbers = (generation, len(live), len(new), ready)
        uid = body["metadata"]["uid"]
        if self._progress.get(uid, (None, 0.0))[0] != numbers:
            self._progress[uid] = (numbers, cluster.now())
        is_done = len(new) == len(live) == count and ready >= count
        late_s = body["spec"].get("progressDeadlineSeconds", 600)
        is_late = not is_done and cluster.now() - self._progress[uid][1] > late_s
        name = body["metadata"]["name"]
        late = {
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": f'"{name}" has timed out progressing.',
        }
        going = {"status": "True", "reason": "ReplicaSetUpdated", "message": f'"{name}" is progressing.'}
        conditions: list[Body] = [{"type": "Progressing", **(late if is_late else going)}]
        if is_refused:
            reported = cluster.events.shown(body["metadata"]["namespace"], {"reason": "FailedCreate"})
            words = reported[-1]["message"] if reported else ""
            conditions.append({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words})
        return {
            "observedGeneration": generation,
            "replicas": len(live),
            "updatedReplicas": len(new),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": conditions,
        }


def _surplus(new: list[Pod], old: list[Pod], count: int) -> list[Pod]:
    """Pods that are to end: too many new ones, old ones that answer nobody, and old ones that new ones stand in for."""
    ready = sum(pod.is_ready for pod in [*new, *old])
    gone = new[count:] if len(new) > count else []
    for pod in old:
        if not pod.is_ready or ready > count:
            gone.append(pod)
            ready -= pod.is_ready
    return gone


def _pods_of(cluster: Cluster, replica_set: str) -> list[Pod]:
    return [
        pod
        for pod in cluster.pods.values()
        if (pod.owner_kind, pod.job) == ("ReplicaSet", replica_set) and pod.is_live and not pod.is_deleted
    ]


class ServiceProxy:
    """A Service as a port of loopback: each new connection goes to a pod that is ready, as kube-proxy sends it.

    Where there is no Service, or no ready pod, a connection ends at once. A connection stays with its pod.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str, *, port: str = "http") -> None:
        self._cluster, self._key, self._port = cluster, (namespace, name), port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._turn = 0
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> "ServiceProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            address = self._address()
            try:
                server = socket.create_connection(address, timeout=5) if address else None
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            server.settimeout(None)
            self._open |= {client, server}
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        asking = threading.Thread(target=_pump, args=(client, server), daemon=True)
        asking.start()
        _pump(server, client)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)  # the server has ended it
        asking.join()
        self._open -= {client, server}
        client.close()
        server.close()

    def _address(self) -> tuple[str, int] | None:
        """Of the next ready pod that the Service selects."""
        with self._cluster.lock:
            service = self._cluster.objects.get("services", *self._key)
            if service is None:
                return None
            wanted = service["spec"]["selector"].items()
            pods = [
                pod
                for pod in self._cluster.pods.values()
                if pod.is_ready
                and not pod.is_deleted
                and wanted <= pod.labels.items()
                and pod.namespace == self._key[0]
            ]
            if not pods:
                return None
            self._turn += 1
            pod = pods[self._turn % len(pods)]
            ports = {one["name"]: one["containerPort"] for one in pod.spec["containers"][0]["ports"]}
            return pod.ip, ports[self._port]


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hands on what comes, and then that nothing more comes."""
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
