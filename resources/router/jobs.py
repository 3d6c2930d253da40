"""Makes the Job of a step in a region with Dagster's step handler, from the region's row and the asset's tags.

Nothing comes from the run launcher or the code location. These describe run pods in the cluster of Dagster itself, and
another region has other secrets, accounts and namespaces. So any launcher can be used, also the default one on a
laptop.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, get_user_defined_k8s_config
from dagster_shared.record import replace as copied
from kubernetes.client import V1EnvVar

from resources.dagster_private import StepHandler, StepHandlerContext
from resources.router.fence import JOB_VARIABLE
from resources.router.seen import WORKER
from resources.router.stores import store_config
from resources.router.worker import ENTRY
from sinet_pipelines.inventory.regions import Region

CONFIG_TAG = "dagster-k8s/config"


class RegionContext(K8sContainerContext):
    """The configuration of a step's pod, independent of the instance's launcher; see `RegionJobs`."""

    job_config: DagsterK8sJobConfig | None = None

    def get_k8s_job_config(self, job_image: str | None, run_launcher: Any) -> DagsterK8sJobConfig:
        """The region's image and the mount path of the instance's settings, instead of the launcher's."""
        return cast(DagsterK8sJobConfig, self.job_config)


class _Kept:
    """Replaces the client of Dagster's handler: stores the Job that would have been created."""

    def __init__(self) -> None:
        self.job: Any = None

    def create_namespaced_job_with_retries(self, body: Any, namespace: str) -> None:
        self.job = body


class RegionJobs(K8sStepHandler):
    """Dagster's step handler for one region, used to make a step's Job: name, labels, command, merge order."""

    def __init__(self, region: Region, *, regions: Sequence[Region], per_step: Mapping[str, Any] | None = None) -> None:
        # Dagster's constructor loads one kubeconfig for the whole process, which can hold one cluster only
        StepHandler.__init__(self)
        cluster = region.cluster
        self.region, self._regions = region, regions
        self._executor_image = cluster.image
        self._executor_container_context = K8sContainerContext(
            namespace=cluster.namespace,
            service_account_name=cluster.service_account,
            image_pull_policy=cluster.image_pull_policy,
            image_pull_secrets=[{"name": secret} for secret in cluster.image_pull_secrets],
            env_secrets=list(cluster.env_secrets),
            env_config_maps=list(cluster.env_config_maps),
            env_vars=[f"{name}={value}" for name, value in cluster.env.items()],
        )
        self._job_config = DagsterK8sJobConfig(
            job_image=cluster.image,
            dagster_home=cluster.dagster_home or None,
            instance_config_map=cluster.step_instance_config_map or None,
        )
        self._per_step_k8s_config = dict(per_step or {})
        self._enable_owner_references = False
        self._move = 0
        self._config: Mapping[str, Any] | None = None

    def job(self, context: StepHandlerContext, *, config: Mapping[str, Any] | None = None, move: int = 0) -> Any:
        """The Job of a step in this region; the event log records that its worker is starting.

        Args:
            context: the context of the step.
            config: replaces the asset's own `dagster-k8s/config`.
            move: how often this attempt has moved; each move has a Job name of its own.
        """
        self._config, self._move, self._api_client = config, move, cast(Any, _Kept())
        list(super().launch_step(self._without_launcher(context)))
        job = cast(_Kept, self._api_client).job
        container = next(one for one in job.spec.template.spec.containers if one.name == WORKER)
        container.args = worker_command("python", container.args)
        container.env = [*container.env, V1EnvVar(name=JOB_VARIABLE, value=job.metadata.name)]
        return job

    def _without_launcher(self, context: StepHandlerContext) -> StepHandlerContext:
        """The step's context with an instance that needs no rights in the cluster.

        With run monitoring, an instance builds its run launcher when it opens. The launcher needs the token of a
        service account, and a step's pod has none. So the pod reads the instance file of its region; where the row
        names none, it opens the instance of its run without run monitoring.
        """
        args, ref = context.execute_step_args, context.execute_step_args.instance_ref
        if self.region.cluster.step_instance_config_map:
            ref = None
        elif ref is not None:
            settings = {name: value for name, value in (ref.settings or {}).items() if name != "run_monitoring"}
            ref = ref._replace(settings=settings)
        handed = copy.copy(context)
        handed._execute_step_args = copied(args, instance_ref=ref)
        return handed

    def _get_k8s_step_job_name(self, step_handler_context: StepHandlerContext) -> str:
        name = super()._get_k8s_step_job_name(step_handler_context)
        return f"{name}-m{self._move}" if self._move else name

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> K8sContainerContext:
        step_key = self._get_step_key(step_handler_context)
        tags = dict(step_handler_context.step_tags[step_key])
        if self._config is not None:
            tags[CONFIG_TAG] = json.dumps(self._config)
        step_context = step_handler_context.get_step_context(step_key)
        op_name = step_context.step.op_name
        merged = self._executor_container_context
        for part in (
            get_user_defined_k8s_config(tags),
            UserDefinedDagsterK8sConfig.from_dict(self._per_step_k8s_config.get(op_name, {})),
            UserDefinedDagsterK8sConfig.from_dict(store_config(step_context, self.region, self._regions)),
        ):
            merged = merged.merge(K8sContainerContext(run_k8s_config=part))
        context = RegionContext(run_k8s_config=merged.run_k8s_config, namespace=merged.namespace)
        context.job_config = self._job_config
        return context


def worker_command(python: str, command: Sequence[str]) -> list[str]:
    """The router's command for a step's process, from Dagster's command.

    >>> worker_command("python", ["dagster", "api", "execute_step"])
    ['python', '-m', 'resources.router.worker', 'api', 'execute_step']
    """
    return [python, *ENTRY, *command[command.index("api") :]]
