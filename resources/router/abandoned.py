"""Jobs of steps whose run has ended without them: their run pod was gone by then, so nobody else deletes them.

A run's own router deletes what the run leaves. But a run that is cancelled, or ended from outside, while its pod is
lost and not yet replaced has none; what it launched would wait for a node, or be at work, until its deadline.
"""

import time
from dataclasses import dataclass, field

from dagster import DagsterInstance

from resources.router.clock import Clock, Patience
from resources.router.cluster import RegionClusters
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.regions import REGIONS, Region

STEPS = "app.kubernetes.io/component=step_worker"  # dagster-k8s gives it to Jobs of steps, not to those of runs
OVER_S = 180.0  # a run's own router cleans up for two minutes after its end
LOOK_S = 30.0  # for one look at all regions: a tick of a sensor has a minute
LOST_S = 900.0  # after the run's end a Job that was told to go and is there has a pod on a lost node


@dataclass
class Abandoned:
    """What one look found.

    Attributes:
        deleted: names of Jobs that were asked to go.
        left: what could not be deleted or does not go, and what a person can do, a sentence each.
    """

    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def delete_abandoned(
    instance: DagsterInstance, *, kubeconfig: str | None = None, clock: Clock | None = None, now: float | None = None
) -> Abandoned:
    """Asks every Job of a step to go whose run has ended some minutes ago.

    A Job of a run that the instance does not know is left: namespaces may be shared with another deployment.

    Args:
        instance: whose runs they are.
        kubeconfig: with the contexts of all regions; default: as the Kubernetes client finds it.
        clock: by which a look has its end.
        now: seconds since 1970.
    """
    clock, found = clock or Clock(), Abandoned()
    clusters = RegionClusters(kubeconfig=kubeconfig, clock=clock, patience=Patience(request_s=LOOK_S / 6))
    until, at = clock.now() + LOOK_S, time.time() if now is None else now
    over: dict[str, float] = {}
    for region in REGIONS:
        try:
            _delete_in(region, clusters, instance, found, over=over, until=until, at=at)
        except ClusterError as error:
            found.left.append(f"{region.name} does not show its Jobs: {error}")
    return found


def _delete_in(
    region: Region,
    clusters: RegionClusters,
    instance: DagsterInstance,
    found: Abandoned,
    *,
    over: dict[str, float],
    until: float,
    at: float,
) -> None:
    cluster, namespace = clusters.get(region.name), region.cluster.namespace
    kubectl = f"kubectl --context {region.cluster.kubeconfig_context} -n {namespace}"
    for name, run_id, is_going in cluster.unfinished(namespace, STEPS):
        if run_id not in over:
            over[run_id] = _over_s(instance, run_id, at)
        if over[run_id] < OVER_S:
            continue
        if is_going:
            if over[run_id] >= LOST_S:
                command = f"{kubectl} delete pod -l job-name={name} --force"
                found.left.append(f"Job {name} in {region.name} does not end; where its node is lost: {command}")
            continue
        if cluster.clock.now() >= until:
            found.left.append(f"Job {name} in {region.name} is deleted at the next look")
            continue
        try:
            cluster.delete(namespace, name)
            found.deleted.append(name)
        except ClusterError as error:
            command = f"{kubectl} delete job {name}"
            found.left.append(f"Job {name} in {region.name} cannot be deleted ({error}): {command}")


def _over_s(instance: DagsterInstance, run_id: str, at: float) -> float:
    """For how long a run has been over; 0 where it is not, or is not known here."""
    record = instance.get_run_record_by_id(run_id) if run_id else None
    if record is None or not record.dagster_run.is_finished or record.end_time is None:
        return 0.0
    return at - record.end_time
