"""Deletes Jobs of steps whose run has ended: their run pod was gone by then, so no router deletes them.

A run's own router deletes the Jobs that the run leaves. A run has no router when it is cancelled, or ended from
outside, while its pod is lost and not yet replaced. The Jobs of such a run would wait for a node, or run, until their
deadline.
"""

import time
from dataclasses import dataclass, field

from dagster import DagsterInstance

from resources.router.clock import Clock, Patience
from resources.router.connections import RegionClusters
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.inventory.regions import Inventory, Region

STEPS = "app.kubernetes.io/component=step_worker"  # dagster-k8s sets it on Jobs of steps, not on those of runs
OVER_S = 180.0  # a run's own router deletes Jobs for two minutes after the run's end
LOOK_S = 30.0  # for one pass over all regions: a tick of a sensor has a minute
LOST_S = 900.0  # a Job that still exists so long after its deletion was requested has a pod on a lost node


@dataclass
class Abandoned:
    """The result of one pass.

    Attributes:
        deleted: names of Jobs whose deletion was requested.
        left: one sentence for each Job that could not be deleted or does not end, with the cure.
    """

    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def delete_abandoned(
    instance: DagsterInstance,
    inventory: Inventory,
    *,
    kubeconfig: str | None = None,
    clock: Clock | None = None,
    now: float | None = None,
) -> Abandoned:
    """Requests the deletion of every Job of a step whose run ended some minutes ago.

    A Job of a run that the instance does not have is left: another deployment may share the namespace.

    Args:
        instance: the instance with the runs.
        inventory: the regions whose clusters are read.
        kubeconfig: file with the contexts of all regions; default: the Kubernetes client's.
        clock: measures the time of the pass.
        now: seconds since 1970.
    """
    clock, found = clock or Clock(), Abandoned()
    clusters = RegionClusters(inventory, kubeconfig=kubeconfig, clock=clock, patience=Patience(request_s=LOOK_S / 6))
    until, at = clock.now() + LOOK_S, time.time() if now is None else now
    over: dict[str, float] = {}
    for region in inventory.regions:
        try:
            _delete_in(region, clusters, instance, found, over=over, until=until, at=at)
        except ClusterError as error:
            found.left.append(f"the Jobs of {region.name} cannot be read: {error}")
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
            found.left.append(f"Job {name} in {region.name} is deleted in the next pass")
            continue
        try:
            cluster.delete(namespace, name)
            found.deleted.append(name)
        except ClusterError as error:
            command = f"{kubectl} delete job {name}"
            found.left.append(f"Job {name} in {region.name} cannot be deleted ({error}): {command}")


def _over_s(instance: DagsterInstance, run_id: str, at: float) -> float:
    """Seconds since a run ended; 0 where it has not ended or is not in the instance."""
    record = instance.get_run_record_by_id(run_id) if run_id else None
    if record is None or not record.dagster_run.is_finished or record.end_time is None:
        return 0.0
    return at - record.end_time
