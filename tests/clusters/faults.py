"""What befalls a simulated run, drawn from its seed: of the API, of pods, of nodes, of what an operator set up.

Each fault is a function that plans it; it happens when its time has come.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tests.clusters import site_faults
from tests.clusters.api_outages import Outage
from tests.clusters.cluster import Cluster, Job
from tests.clusters.site_faults import REGIONS, some_pod
from tests.inventory import get_region

if TYPE_CHECKING:
    from tests.clusters.simulation import Simulation

STATUSES = (401, 403, 409, 410, 429, 429, 500, 500, 503)


def _window(run: "Simulation", kind: str, *, share: float, status: int = 0, longest_s: float = 240) -> None:
    region, begins = run.rng.choice(REGIONS), run.time_s + run.rng.uniform(0, 250)
    ends = begins + run.rng.uniform(10, longest_s)
    run.outages[region].append(Outage(begins, ends, kind, share, status))
    run.trace.append(f"{begins - 1e6:.0f}-{ends - 1e6:.0f} {region} {kind} {status or ''}")


def _api_error(run: "Simulation") -> None:
    for _ in range(run.rng.randint(1, 3)):
        _window(run, "status", share=run.rng.choice([0.3, 0.7, 1.0]), status=run.rng.choice(STATUSES))


def _hang(run: "Simulation") -> None:
    for _ in range(run.rng.randint(1, 3)):
        _window(run, "hang", share=run.rng.choice([0.3, 0.7, 1.0]))


def _region_lost(run: "Simulation") -> None:
    """The API is gone; what runs there may live or die."""
    _window(run, "lost", share=1.0, longest_s=run.rng.choice([200, 2000, 20000]))


def _region_dark(run: "Simulation") -> None:
    """The whole region is gone, and comes back or not: what ran there is dead."""
    region, begins_s = run.rng.choice(REGIONS), run.rng.uniform(0, 250)
    lasts_s = run.rng.choice([120, 900, 20000])
    run.outages[region].append(Outage(run.time_s + begins_s, run.time_s + begins_s + lasts_s, "lost", 1.0))

    def darken() -> None:
        cluster = run.clusters[region]
        for pod in cluster.pods.values():
            cluster.kill(pod)
        cluster.is_dark = True

    def lighten() -> None:
        run.clusters[region].is_dark = False

    run.at(f"{region} dark", darken, after_s=begins_s)
    run.at(f"{region} light", lighten, after_s=begins_s + lasts_s)


def _disrupt(run: "Simulation", reason: str, *, times: int) -> None:
    def happen() -> None:
        if found := some_pod(run):
            found[0].disrupt(found[1], reason, is_hard=run.rng.random() < 0.3)

    for _ in range(run.rng.randint(1, times)):
        run.at(f"pod: {reason or 'lost'}", happen)


def _preemption(run: "Simulation") -> None:
    _disrupt(run, "PreemptionByScheduler", times=4)


def _drain(run: "Simulation") -> None:
    _disrupt(run, "EvictionByEvictionAPI", times=2)


def _eviction(run: "Simulation") -> None:
    _disrupt(run, "Evicted", times=2)


def _lost_pod(run: "Simulation") -> None:
    _disrupt(run, "", times=2)


def _lost_node(run: "Simulation") -> None:
    _disrupt(run, "DeletionByTaintManager", times=2)


def _replaced_pod(run: "Simulation") -> None:
    def happen() -> None:
        if found := some_pod(run):
            found[0].replace(found[1])

    run.at("pod replaced", happen)


def _lost_run_pod(run: "Simulation") -> None:
    if not {"cancel", "cancel_resumed"}.intersection(
        run.faults or ()
    ):  # nobody takes over a run that is being canceled
        run.dies_after_s = run.rng.uniform(0, 300)


def _lost_job(run: "Simulation") -> None:
    def happen() -> None:
        if found := some_pod(run):
            found[0].delete(found[1].namespace, found[1].job)

    run.at("job deleted by somebody", happen)


def _suspension(run: "Simulation") -> None:
    def happen() -> None:
        found = some_pod(run)
        if found is None:
            return
        cluster, job = found[0], found[0].jobs.get((found[1].namespace, found[1].job))
        if job is None:
            return
        cluster.suspend(job, is_suspended=True, is_hard=run.rng.random() < 0.4)
        run.at("resumed", lambda: _resume(run, cluster, job), after_s=run.rng.choice([5, 40, 400, 4000]))

    for _ in range(run.rng.randint(1, 3)):
        run.at("suspended", happen)


def _resume(run: "Simulation", cluster: Cluster, job: Job) -> None:
    if not job.is_finished:
        cluster.suspend(job, is_suspended=False)


def _oom(run: "Simulation") -> None:
    step = run.rng.choice(run.steps)
    run.memory_mib[step] = run.rng.choice([3000, 7000, 30000, 500000])
    run.trace.append(f"{step} wants {run.memory_mib[step]} MiB")


def _no_nodes(run: "Simulation") -> None:
    region, resource = run.rng.choice([("EAST", "nvidia.com/gpu"), ("WEST", "nvidia.com/gpu"), ("NULL_ISLAND", "cpu")])
    cluster = run.clusters[region]
    run.at(f"{region} has no {resource}", lambda: cluster.without.add(resource))
    lasts_s = run.rng.choice([60, 400, 4000])
    run.at(f"{region} has {resource}", lambda: cluster.without.discard(resource), after_s=300 + lasts_s)


def _no_image(run: "Simulation") -> None:
    region = run.rng.choice(REGIONS)
    cluster, image = run.clusters[region], get_region(region).cluster.image
    run.at(f"{region} cannot pull", lambda: cluster.unpullable.add(image))
    run.at(f"{region} can pull", lambda: cluster.unpullable.discard(image), after_s=300 + run.rng.choice([20, 400]))


def _hinder(run: "Simulation", what: str, *words: str) -> None:
    """Lets a cluster have an obstacle for a while, or for good."""
    cluster = run.clusters[run.rng.choice(REGIONS)]
    begins_s, lasts_s = run.rng.uniform(0, 250), run.rng.choice([30, 400, 20000])
    run.at(f"{cluster.name} {what}", partial(setattr, cluster, what, run.rng.choice(words)), after_s=begins_s)
    run.at(f"{cluster.name} {what} no more", partial(setattr, cluster, what, ""), after_s=begins_s + lasts_s)


def _refused_pods(run: "Simulation") -> None:
    _hinder(
        run,
        "refuses_pods",
        'Error creating: pods "step-" is forbidden: error looking up service account sinet/step: '
        'serviceaccount "step" not found',
        'Error creating: pods "step-" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=8',
        'Error creating: pods "step-" is forbidden: violates PodSecurity "restricted:latest"',
        'Error creating: pods "step-" is forbidden: no PriorityClass with name batch was found',
    )


def _unmountable(run: "Simulation") -> None:
    _hinder(run, "mount", 'MountVolume.SetUp failed for volume "settings" : configmap "settings" not found')


def _stuck_container(run: "Simulation") -> None:
    _hinder(
        run,
        "stuck",
        'CreateContainerConfigError: secret "token" not found',
        "CreateContainerError: failed to create containerd task",
        "RunContainerError: no such device",
    )


def _proxies(run: "Simulation") -> None:
    """A service mesh puts a proxy beside each worker: it ends after the worker, by itself or not at all."""
    run.clusters[run.rng.choice(REGIONS)].beside = {"istio-proxy": run.rng.choice([None, 0, 143])}


def _slow_watch(run: "Simulation") -> None:
    for cluster in run.clusters.values():
        cluster.lag_s = run.rng.uniform(1, 25)


def _silent_worker(run: "Simulation") -> None:
    run.afflicted.add((run.rng.choice(run.steps), "silent_worker"))


def _hung_worker(run: "Simulation") -> None:
    run.afflicted.add((run.rng.choice(run.steps), "hung_worker"))


# what befalls workers and the run


def _long_worker(run: "Simulation") -> None:
    """A step takes longer than its Job's deadline."""
    run.afflicted.add((run.rng.choice(run.steps), "long_worker"))


def _cancel(run: "Simulation") -> None:
    run.at("canceled", run.cancel)


def _cancel_resumed(run: "Simulation") -> None:
    """The same where run monitoring replaces lost run pods."""
    run.may_resume = True
    _cancel(run)


def _drained_run_pod(run: "Simulation") -> None:
    """The run's own pod is told to end by its cluster, and another one takes over."""
    if not {"cancel", "cancel_resumed", "lost_run_pod"}.intersection(run.faults or ()):
        run.drained_after_s = run.rng.uniform(0, 300)


PLANS: dict[str, Callable[["Simulation"], None]] = {
    "api_error": _api_error,
    "hang": _hang,
    "region_lost": _region_lost,
    "region_dark": _region_dark,
    "preemption": _preemption,
    "suspension": _suspension,
    "oom": _oom,
    "eviction": _eviction,
    "lost_pod": _lost_pod,
    "lost_job": _lost_job,
    "no_nodes": _no_nodes,
    "no_image": _no_image,
    "slow_watch": _slow_watch,
    "silent_worker": _silent_worker,
    "hung_worker": _hung_worker,
    "drain": _drain,
    "lost_node": _lost_node,
    "replaced_pod": _replaced_pod,
    "lost_run_pod": _lost_run_pod,
    "cancel": _cancel,
    "refused_pods": _refused_pods,
    "unmountable": _unmountable,
    "stuck_container": _stuck_container,
    "proxies": _proxies,
    "no_account": site_faults.no_account,
    "no_priority": site_faults.no_priority,
    "no_settings": site_faults.no_settings,
    "no_secret": site_faults.no_secret,
    "no_instance": site_faults.no_instance,
    "no_claim": site_faults.no_claim,
    "quota": site_faults.quota,
    "expired_token": site_faults.expired_token,
    "lost_rights": site_faults.lost_rights,
    "untrusted": site_faults.untrusted,
    "silent_node": site_faults.silent_node,
    "drained_node": site_faults.drained_node,
    "tainted_node": site_faults.tainted_node,
    "long_worker": _long_worker,
    "cancel_resumed": _cancel_resumed,
    "drained_run_pod": _drained_run_pod,
}
FAULTS = tuple(PLANS)


def drawn_faults(seed: int) -> tuple[str, ...]:
    """One to four kinds of faults; what comes of them does not depend on whether they were drawn or named."""
    rng = random.Random(f"faults {seed}")
    return tuple(rng.sample(FAULTS, rng.randint(1, 4)))
