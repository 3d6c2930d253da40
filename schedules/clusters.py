"""Maintenance where steps run in clusters: creates pools, and deletes Jobs whose run has ended."""

import dagster as dg

from resources.deployment import Deployment

NAME = "clusters_in_order"


@dg.sensor(
    name=NAME,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Deletes Jobs of steps whose run has ended without its pod, and creates pools before runs need them.",
)
def clusters_in_order(context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment]) -> dg.SkipReason:
    """Reports what was deleted and what is left; requests no run.

    It is part of the code location only where steps run in clusters. A region that does not respond delays its own Jobs
    alone, and the next tick tries again.
    """
    from resources.router.abandoned import delete_abandoned
    from resources.router.pools import make_pools  # with SQLAlchemy, a sixth of the time of loading the definitions

    repository = context.repository_def
    if repository is not None:
        graph = repository.asset_graph
        make_pools(
            context.instance, {pool for key in graph.executable_asset_keys for pool in graph.get(key).pools or ()}
        )
    found = delete_abandoned(context.instance, deployment.inventory)
    for left in found.left:
        context.log.warning(left)
    deleted = [f"deleted: {', '.join(found.deleted)}"] if found.deleted else []
    return dg.SkipReason("; ".join([*deleted, *found.left]) or "no Job is left of a run that has ended")
