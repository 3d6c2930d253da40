"""`sinet render`: prints the Kubernetes Job of an asset or a check in its region, as the region router makes it.

No cluster is contacted and no home is needed: the Job follows from the asset's binding and the region's row.
"""

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sinet_pipelines.errors import UsageError

if TYPE_CHECKING:
    from resources.dagster_private import AssetGraph, ExecutionStep, PlanOrchestrationContext

RUN_ID = "00000000-0000-0000-0000-000000000000"  # a run has its own; this one makes Jobs of equal assets equal
SHOWN = 8  # names in a message about a name that was not found


def show_job(asset: str, *, project: Path | None, as_json: bool) -> None:
    """Prints the Job of an asset or a check.

    Args:
        asset: `EAST/turbofan/raw_telemetry`, its last part where only one asset has it, or either of these
            with `:check_name` for a check.
        project: the checkout; None for the one at or above the current folder.
        as_json: print JSON instead of YAML.

    Raises:
        UsageError: there is no such asset or check, or no step makes it.
    """
    from sinet_pipelines.cli.home import find_project
    from sinet_pipelines.cli.orchestrator import all_assets_job, be_in, load_definitions
    from sinet_pipelines.manifests.objects import as_yaml

    be_in(project or find_project())
    graph = load_definitions().resolve_asset_graph()
    step_key = step_of(graph, asset)
    job = rendered(*all_assets_job(), step_keys=[step_key])[step_key]
    if as_json:
        json.dump(job, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(as_yaml(job))


def show_all(*, project: Path | None, as_json: bool) -> None:
    """Prints the Job of every asset and check, in the order of a run.

    Args:
        project: as for `show_job`.
        as_json: print one JSON list instead of YAML documents.
    """
    from sinet_pipelines.cli.home import find_project
    from sinet_pipelines.cli.orchestrator import all_assets_job, be_in
    from sinet_pipelines.manifests.objects import as_yaml

    be_in(project or find_project())
    jobs = list(rendered(*all_assets_job()).values())
    if as_json:
        json.dump(jobs, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(as_yaml(*jobs))


def write_deployment(target: Path, *, project: Path | None) -> None:
    """Writes the Kubernetes manifests of every cluster of the inventory, and prints which files changed.

    Args:
        target: the folder.
        project: as for `show_job`.

    Raises:
        UsageError: files in the folder were changed by hand.
        InventoryError: the row of a region does not describe a complete cluster.
    """
    import yaml

    from sinet_pipelines.cli.home import find_project
    from sinet_pipelines.cli.orchestrator import be_in
    from sinet_pipelines.inventory.regions import this_inventory
    from sinet_pipelines.manifests import deployment, folder
    from sinet_pipelines.manifests.objects import left_behind

    root = project or find_project()
    be_in(root)
    instance = yaml.safe_load((root / "deploy" / "dagster.yaml").read_text())
    step_instance = (root / "deploy" / "dagster-step.yaml").read_text()
    before = folder.rendered(target)
    files = deployment.files(this_inventory().regions, instance=instance, step_instance=step_instance)
    changed = folder.write(files, target)
    lines = [f"{'wrote' if name in files else 'removed'} {name}\n" for name in changed]
    lines += [
        f"{one} is no longer rendered; where it was applied it stays until you delete it\n"
        for one in left_behind(before, files)
    ]
    sys.stdout.write("".join(lines) or f"{target} is unchanged\n")


def write_policies(target: Path) -> None:
    """Writes the bucket policy of each region's store, and prints which files changed.

    Args:
        target: the folder.

    Raises:
        UsageError: files in the folder were changed by hand.
    """
    from sinet_pipelines.inventory.regions import this_inventory
    from sinet_pipelines.manifests import folder, policies

    files = policies.files(this_inventory().regions)
    lines = [f"{'wrote' if name in files else 'removed'} {name}\n" for name in folder.write(files, target)]
    sys.stdout.write("".join(lines) or f"{target} is unchanged\n")


def step_of(graph: "AssetGraph", asset: str) -> str:
    """The key of the step that makes an asset, or that runs a check.

    Raises:
        UsageError: as for `show_job`.
    """
    name, _, check = asset.partition(":")
    spelled = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    fitting = [one for one in spelled if one == name or one.split("/")[-1] == name]
    if len(fitting) != 1 or not name:
        near = sorted(fitting or [one for one in spelled if name.split("/")[-1] in one] or spelled)
        found = f"{name!r} is the last part of {len(fitting)} assets" if fitting else f"no asset {name!r}"
        more = f" and {len(near) - SHOWN} more" if len(near) > SHOWN else ""
        raise UsageError(f"{found}; name one: {', '.join(near[:SHOWN])}{more}")
    key = spelled[fitting[0]]
    if check:
        checks = {one.name: one for one in graph.asset_check_keys if one.asset_key == key}
        if check not in checks:
            known = ", ".join(sorted(checks)) or "none"
            raise UsageError(f"{fitting[0]} has no check {check!r} (it has: {known}); name one of these")
        made_by = next(one for one in graph.assets_defs if checks[check] in one.check_keys)
        return str(made_by.node_def.name)
    if key not in graph.executable_asset_keys:
        raise UsageError(f"no step makes {fitting[0]}: others write it; render an asset that is made here")
    return str(graph.get(key).assets_def.node_def.name)


def rendered(job: Any, origin: Any, *, step_keys: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The Jobs of some steps as plain JSON, by step; the Jobs of all steps where `step_keys` is None.

    Each Job comes from the step handler of its region, with a client that stores the Job instead of sending it. So the
    order in which settings are merged is that of production.

    Args:
        job: the job of all assets and checks, reconstructable.
        origin: the origin of the job in its code location.
        step_keys: keys of steps of the plan.

    Raises:
        UsageError: a step is bound to no region.
    """
    from kubernetes.client import ApiClient

    from resources.dagster_private import ExecuteStepArgs, RetryMode, StepHandlerContext
    from resources.placement import REGION_TAG
    from resources.router.jobs import RegionJobs
    from sinet_pipelines.inventory.regions import this_inventory

    found, plain, inventory = {}, ApiClient(), this_inventory()
    with _planned(job, origin) as (context, steps):
        for step in steps:
            if step_keys is not None and step.key not in step_keys:
                continue
            tags = step.tags or {}
            if REGION_TAG not in tags:
                raise UsageError(f"step {step.key} is bound to no region; add `bind(...)` to its asset or check")
            args = ExecuteStepArgs(
                job_origin=context.reconstructable_job.get_python_origin(),
                run_id=RUN_ID,
                step_keys_to_execute=[step.key],
                instance_ref=None,
                retry_mode=RetryMode.DEFERRED,
                should_verify_step=True,
            )
            step_context = StepHandlerContext(context.instance, context, [step], args, context.dagster_run)
            region = inventory.region(tags[REGION_TAG])
            made = plain.sanitize_for_serialization(RegionJobs(region, regions=inventory.regions).job(step_context))
            made["metadata"]["namespace"] = region.cluster.namespace  # the API receives it beside the Job
            found[step.key] = made
    return found


@contextmanager
def _planned(job: Any, origin: Any) -> "Iterator[tuple[PlanOrchestrationContext, list[ExecutionStep]]]":
    """What an executor receives for a run of all assets and checks, and its steps; nothing of it is stored."""
    from dagster import DagsterInstance

    from resources.dagster_private import (
        DagsterLogManager,
        InProcessExecutor,
        PlanData,
        PlanOrchestrationContext,
        RetryMode,
        create_execution_plan,
    )

    plan = create_execution_plan(job)
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(
            job.get_definition(), run_id=RUN_ID, remote_job_origin=origin, execution_plan=plan
        )
        data = PlanData(job, run, instance, plan, raise_on_error=True, retry_mode=RetryMode.DISABLED)
        log = DagsterLogManager.create(loggers=[], dagster_run=run, instance=instance)
        yield (
            PlanOrchestrationContext(data, log, InProcessExecutor(RetryMode.DISABLED), output_capture=None),
            [cast("ExecutionStep", step) for step in plan.get_all_steps_in_topo_order()],
        )
