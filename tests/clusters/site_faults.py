"""What befalls a simulated run by what an operator has set up: objects, rights and certificates come and go, and nodes.

Each function plans one fault of a run, as those of `faults.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.clusters import outages
from tests.clusters.access import service_account
from tests.clusters.cluster import Cluster, Pod
from tests.clusters.furnish import RUNNER, RUNNER_TOKEN
from tests.inventory import get_region

if TYPE_CHECKING:
    from tests.clusters.simulation import Simulation

REGIONS = ("EAST", "WEST", "NULL_ISLAND")
NAMESPACE = "sinet"
LASTS_S = (30, 400, 20000)  # a short while, longer than the router's patience, longer than any run


def some_pod(run: "Simulation") -> tuple[Cluster, Pod] | None:
    """A pod of a cluster that does something; None where there is none."""
    running = [
        (cluster, pod)
        for cluster in run.clusters.values()
        for pod in cluster.pods.values()
        if pod.is_live and not cluster.is_dark
    ]
    return run.rng.choice(running) if running else None


def _without(run: "Simulation", plural: str, names: Callable[[Cluster], list[str]], *, namespace: str) -> None:
    """Takes an object that pods name out of a cluster, and puts it back after a while, or never."""
    cluster = run.clusters[run.rng.choice(REGIONS)]
    name = run.rng.choice(names(cluster))
    begins_s, lasts_s = run.rng.uniform(0, 250), run.rng.choice(LASTS_S)
    taken: list[object] = []

    def take() -> None:
        taken.append(cluster.objects.delete(plural, namespace, name))

    def give() -> None:
        body = taken.pop() if taken else None
        if isinstance(body, dict):
            cluster.objects.put(plural, namespace, name, body)

    run.at(f"{cluster.name} {plural} {name} gone", take, after_s=begins_s)
    run.at(f"{cluster.name} {plural} {name} back", give, after_s=begins_s + lasts_s)
    run.mended.append(give)


def no_account(run: "Simulation") -> None:
    """The service account of steps is gone for a while, or for good."""
    _without(run, "serviceaccounts", lambda cluster: [_row(cluster).service_account], namespace=NAMESPACE)


def no_priority(run: "Simulation") -> None:
    """The same of a priority class."""
    _without(run, "priorityclasses", lambda cluster: sorted(_row(cluster).priority_classes.values()), namespace="")


def no_settings(run: "Simulation") -> None:
    """The same of the config map with the variables of steps."""
    _without(run, "configmaps", lambda cluster: list(_row(cluster).env_config_maps), namespace=NAMESPACE)


def no_secret(run: "Simulation") -> None:
    """The same of the secret."""
    _without(run, "secrets", lambda cluster: list(_row(cluster).env_secrets), namespace=NAMESPACE)


def no_instance(run: "Simulation") -> None:
    """The same of the config map with the instance file."""
    _without(run, "configmaps", lambda cluster: [_row(cluster).step_instance_config_map], namespace=NAMESPACE)


def no_claim(run: "Simulation") -> None:
    """The same of the claim."""
    _without(run, "persistentvolumeclaims", lambda cluster: ["sinet-files"], namespace=NAMESPACE)


def _row(cluster: Cluster) -> Any:
    return get_region(cluster.name).cluster


def quota(run: "Simulation") -> None:
    """Others take the namespace's quota, for a while or for good."""
    cluster = run.clusters[run.rng.choice(REGIONS)]
    hard = run.rng.choice([{"pods": "0"}, {"requests.memory": "1Gi"}, {"requests.cpu": "500m", "limits.cpu": "1"}])
    begins_s, lasts_s = run.rng.uniform(0, 250), run.rng.choice(LASTS_S)
    put = partial(cluster.objects.put, "resourcequotas", NAMESPACE, "small", {"spec": {"hard": hard}})
    take = partial(cluster.objects.delete, "resourcequotas", NAMESPACE, "small")
    run.at(f"{cluster.name} quota {hard}", lambda: put() and None, after_s=begins_s)
    run.at(f"{cluster.name} quota no more", lambda: take() and None, after_s=begins_s + lasts_s)
    run.mended.append(lambda: take() and None)


def expired_token(run: "Simulation") -> None:
    """The token of whoever starts runs runs out, and is renewed after a while or never."""
    cluster = run.clusters[run.rng.choice(REGIONS)]
    user = service_account(NAMESPACE, RUNNER)
    begins_s, lasts_s = run.rng.uniform(0, 250), run.rng.choice(LASTS_S)
    renew = partial(cluster.access.admit, RUNNER_TOKEN, user)
    expire = partial(cluster.access.admit, RUNNER_TOKEN, user, lasts_s=0.0)
    run.at(f"{cluster.name} token expires", expire, after_s=begins_s)
    run.at(f"{cluster.name} token renewed", renew, after_s=begins_s + lasts_s)
    run.mended.append(renew)


def lost_rights(run: "Simulation") -> None:
    """Somebody takes a right from whoever starts runs, for a while or for good."""
    cluster = run.clusters[run.rng.choice(REGIONS)]
    right = run.rng.choice([("create", "jobs"), ("list", "pods"), ("get", "pods/log"), ("list", "events")])
    begins_s, lasts_s = run.rng.uniform(0, 250), run.rng.choice(LASTS_S)
    run.at(f"{cluster.name} {right} denied", partial(cluster.site.denied.add, right), after_s=begins_s)
    give = partial(cluster.site.denied.discard, right)
    run.at(f"{cluster.name} {right} allowed", give, after_s=begins_s + lasts_s)
    run.mended.append(give)


def untrusted(run: "Simulation") -> None:
    """A region's API shows a certificate that nobody trusts, for a while or for good."""
    region = run.rng.choice(REGIONS)
    begins_s, lasts_s = run.rng.uniform(0, 250), run.rng.choice(LASTS_S)
    trust = partial(run.present, region, is_trusted=True)
    run.at(f"{region} untrusted", partial(run.present, region, is_trusted=False), after_s=begins_s)
    run.at(f"{region} trusted", trust, after_s=begins_s + lasts_s)
    run.mended.append(trust)


def _some_node(run: "Simulation") -> tuple[Cluster, str] | None:
    found = some_pod(run)
    return (found[0], found[1].node) if found and found[1].node in found[0].nodes else None


def silent_node(run: "Simulation") -> None:
    """A kubelet falls silent while the worker goes on; it comes back, or somebody deletes the node, or neither."""

    def happen() -> None:
        found = _some_node(run)
        if found is None or found[0].nodes[found[1]].is_lost:
            return
        cluster, node = found
        outages.lose(cluster, node)
        run.mended.append(lambda: outages.find(cluster, node) if node in cluster.nodes else None)
        lasts_s, is_deleted = run.rng.choice([20, 120, 600, 20000]), run.rng.random() < 0.3
        befall = outages.remove if is_deleted else outages.find
        run.at(
            f"{node} {'deleted' if is_deleted else 'back'}",
            lambda: befall(cluster, node) if node in cluster.nodes else None,
            after_s=lasts_s,
        )

    for _ in range(run.rng.randint(1, 2)):
        run.at("node silent", happen)


def drained_node(run: "Simulation") -> None:
    """Nodes are drained and stay so."""

    def happen() -> None:
        if found := _some_node(run):
            outages.drain(*found)

    for _ in range(run.rng.randint(1, 2)):
        run.at("node drained", happen)


def tainted_node(run: "Simulation") -> None:
    """A node is tainted so that nothing stays on it."""

    def happen() -> None:
        if found := _some_node(run):
            outages.taint(*found, "sinet.ai/ill")

    run.at("node tainted", happen)
