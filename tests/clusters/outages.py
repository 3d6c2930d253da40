"""What befalls the nodes of a cluster in memory: lost, back, deleted, drained, tainted."""

from tests.clusters.cluster import Cluster
from tests.clusters.nodes import tolerates
from tests.clusters.pods import Pod


def pods_on(cluster: Cluster, node: str) -> list[Pod]:
    """The pods that are bound to a node and have not ended, as far as the API knows."""
    return [pod for pod in cluster.pods.values() if pod.node == node and pod.is_live]


def lose(cluster: Cluster, node: str) -> None:
    """A node's kubelet falls silent; what runs there runs on."""
    with cluster.lock:
        if not cluster.nodes[node].is_lost:
            cluster.nodes[node].lost_since = cluster.now()


def find(cluster: Cluster, node: str) -> None:
    """The kubelet of a lost node is heard again: it does what it missed."""
    with cluster.lock:
        cluster.nodes[node].lost_since = None
        for pod in pods_on(cluster, node):
            pod.is_silent = False
            pod.is_ready = pod.phase == "Running" and not pod.is_deleted


def remove(cluster: Cluster, node: str) -> None:
    """Somebody deletes the object of a node: its pods are forgotten, and what runs there runs on."""
    with cluster.lock:
        for pod in pods_on(cluster, node):
            pod.disruption = "DeletionByPodGC: PodGC: node no longer exists"
            pod.is_deleted, pod.phase = True, "Failed"
            if pod.process is not None and pod.process.poll() is None:
                cluster.ghosts.append(pod.process)
        del cluster.nodes[node]


def drain(cluster: Cluster, node: str) -> None:
    """`kubectl drain`: no new pods, and those that are there are evicted."""
    with cluster.lock:
        cluster.nodes[node].is_cordoned = True
        for pod in pods_on(cluster, node):
            cluster.disrupt(pod, "EvictionByEvictionAPI")


def taint(cluster: Cluster, node: str, key: str) -> None:
    """Somebody taints a node with NoExecute: pods that do not tolerate it go."""
    found = {"key": key, "effect": "NoExecute"}
    with cluster.lock:
        cluster.nodes[node].taints.append(found)
        for pod in pods_on(cluster, node):
            if not tolerates(pod.spec, found):
                cluster.disrupt(pod, "DeletionByTaintManager")
