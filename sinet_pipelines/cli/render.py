"""`sinet render`: the Kubernetes Job that an asset or a check becomes in its region, as the region router makes it.

Nothing is asked of a cluster and no home is needed: the Job follows from the asset's binding and the region's row.
"""

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sinet_pipelines.errors import UsageError

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.step import ExecutionStep

RUN_ID = "00000000-0000-0000-0000-000000000000"  # a run gives its own; with this one equal assets give equal Jobs
SHOWN = 8  # names offered where one was not found


def show_job(asset: str, *, project: Path | None, as_json: bool) -> None:
    """Prints the Job of an asset or a check.

    Args:
        asset: `EAST/predictive_maintenance/raw_telemetry`, its last word where that is one asset's alone, or the same
            with `:check_name` for a check.
        project: the checkout; None for the one found from here.
        as_json: JSON in the place of YAML.

    Raises:
        UsageError: there is no such asset or check, or nothing runs for it.
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
        project: as of `show_job`.
        as_json: one list as JSON in the place of documents of YAML.
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
    """Writes what every cluster of the inventory is set up with, and says which files changed.

    Args:
        target: the folder.
        project: as of `show_job`.

    Raises:
        UsageError: the folder has files that were changed by hand.
        RegistryError: a row from which no cluster can be set up.
    """
    import yaml

    from sinet_pipelines.cli.home import find_project
    from sinet_pipelines.cli.orchestrator import be_in
    from sinet_pipelines.manifests import deployment, folder
    from sinet_pipelines.manifests.objects import left_behind
    from sinet_pipelines.regions import REGIONS

    root = project or find_project()
    be_in(root)
    instance = yaml.safe_load((root / "deploy" / "dagster.yaml").read_text())
    step_instance = (root / "deploy" / "dagster-step.yaml").read_text()
    before = folder.rendered(target)
    files = deployment.files(REGIONS, instance=instance, step_instance=step_instance)
    changed = folder.write(files, target)
    said = [f"{'wrote' if name in files else 'removed'} {name}\n" for name in changed]
    said += [
        f"{one} is rendered no more; where it was applied it stays until you delete it\n"
        for one in left_behind(before, files)
    ]
    sys.stdout.write("".join(said) or f"{target} is as it was\n")


def step_of(graph: "AssetGraph", asset: str) -> str:
    """The key of the step that makes an asset, or that a check is part of.

    Raises:
        UsageError: as of `show_job`.
    """
    name, _, check = asset.partition(":")
    spelled = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    fitting = [one for one in spelled if one == name or one.split("/")[-1] == name]
    if len(fitting) != 1 or not name:
        near = sorted(fitting or [one for one in spelled if name.split("/")[-1] in one] or spelled)
        found = f"{name!r} is the last word of {len(fitting)} assets" if fitting else f"no asset {name!r}"
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
        raise UsageError(f"nothing runs for {fitting[0]}: others write it; render an asset that is made here")
    return str(graph.get(key).assets_def.node_def.name)


def rendered(job: Any, origin: Any, *, step_keys: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The Jobs of some steps as plain JSON, by step; of all steps where none are named.

    Each goes through the stock step handler of its region with a client that keeps what it is given, so the merge order
    is that of production.

    Args:
        job: of all assets and checks, reconstructable.
        origin: of the job in its code location.
        step_keys: of the plan.

    Raises:
        UsageError: a step is bound to no region.
    """
    from dagster._core.execution.retries import RetryMode
    from dagster._core.executor.step_delegating import StepHandlerContext
    from dagster._grpc.types import ExecuteStepArgs
    from kubernetes.client import ApiClient

    from resources.placement import REGION_TAG
    from resources.router.jobs import RegionJobs
    from sinet_pipelines.regions import get_region

    found, plain = {}, ApiClient()
    with _planned(job, origin) as (context, steps):
        for step in steps:
            if step_keys is not None and step.key not in step_keys:
                continue
            tags = step.tags or {}
            if REGION_TAG not in tags:
                raise UsageError(f"step {step.key} is bound to no region; give its asset or check `bind(...)`")
            args = ExecuteStepArgs(
                job_origin=context.reconstructable_job.get_python_origin(),
                run_id=RUN_ID,
                step_keys_to_execute=[step.key],
                instance_ref=None,
                retry_mode=RetryMode.DEFERRED,
                should_verify_step=True,
            )
            asked = StepHandlerContext(context.instance, context, [step], args, context.dagster_run)
            region = get_region(tags[REGION_TAG])
            made = plain.sanitize_for_serialization(RegionJobs(region).job(asked))
            made["metadata"]["namespace"] = region.cluster.namespace  # told to the API beside the Job
            found[step.key] = made
    return found


@contextmanager
def _planned(job: Any, origin: Any) -> "Iterator[tuple[PlanOrchestrationContext, list[ExecutionStep]]]":
    """What an executor knows of a run of all assets and checks, and its steps; nothing of it is kept."""
    from dagster import DagsterInstance
    from dagster._core.execution.api import create_execution_plan
    from dagster._core.execution.context.system import PlanData, PlanOrchestrationContext
    from dagster._core.execution.retries import RetryMode
    from dagster._core.executor.in_process import InProcessExecutor
    from dagster._core.log_manager import DagsterLogManager

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
