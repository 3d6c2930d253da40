"""What is kept in order where steps run in clusters: pools are made, and Jobs that no run has any more are deleted."""

import dagster as dg

from resources.router.pools import make_pools

NAME = "clusters_in_order"


@dg.sensor(
    name=NAME,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Deletes Jobs of steps whose run has ended without its pod, and makes pools before runs need them.",
)
def clusters_in_order(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Says what was deleted and what is left; requests nothing.

    Only where steps run in clusters is it part of the code location. A region that does not answer delays its own
    Jobs alone, and the next tick asks it again.
    """
    from resources.router.abandoned import delete_abandoned

    repository = context.repository_def
    if repository is not None:
        graph = repository.asset_graph
        make_pools(
            context.instance, {pool for key in graph.executable_asset_keys for pool in graph.get(key).pools or ()}
        )
    found = delete_abandoned(context.instance)
    for left in found.left:
        context.log.warning(left)
    said = [f"deleted: {', '.join(found.deleted)}"] if found.deleted else []
    return dg.SkipReason("; ".join([*said, *found.left]) or "no Job is left of a run that has ended")
