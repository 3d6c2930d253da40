"""`region_router` as the code location declares it; what it is made of is imported when a run executes.

Every process that loads the code location imports this module, step pods among them, which need no Kubernetes client.
"""

import os
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.executor.init import InitExecutorContext

if TYPE_CHECKING:
    from resources.router.executor import RegionExecutor

LOOK_S = 0.5  # between two looks at the log (Dagster's default is 1): what a step waits for that before it


@dg.executor(
    name="region_router",
    config_schema={
        "kubeconfig": dg.Field(
            dg.Noneable(dg.StringSource),
            default_value=None,
            description="File with the contexts of all regions; default: $KUBECONFIG, else ~/.kube/config.",
        ),
        "max_concurrent": dg.Field(
            dg.Noneable(dg.IntSource), default_value=None, description="Steps of one run at once; default: no limit."
        ),
        "look_every_s": dg.Field(
            dg.IntSource, default_value=5, description="Seconds between two looks at a step's Job."
        ),
        "retries": get_retries_config(),
        "per_step_k8s_config": dg.Field(
            dg.Map(str, dict, key_label_name="step_name"),
            default_value={},
            description="What is merged over an asset's own configuration, by op name, for one launch.",
        ),
        "patience": dg.Field(
            dg.Map(str, float, key_label_name="what"),
            default_value={},
            description="Seconds to wait for what, by the names in resources/router/clock.py (`lost_s`, `pending_s`).",
        ),
    },
    requirements=multiple_process_executor_requirements(),
)
def region_router(init_context: InitExecutorContext) -> "RegionExecutor":
    """Sends each step to its region's cluster as a Job; cheap steps run beside the run."""
    from resources.router.clock import Patience
    from resources.router.executor import RegionExecutor
    from resources.router.handler import RegionStepHandler

    config = cast(dict[str, Any], init_context.executor_config)
    handler = RegionStepHandler(
        kubeconfig=config["kubeconfig"],
        per_step=config["per_step_k8s_config"],
        patience=Patience(**config["patience"]),
    )
    return RegionExecutor(
        handler,
        sleep_seconds=float(os.environ.get("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", LOOK_S)),
        retries=RetryMode.from_config(config["retries"]),
        max_concurrent=config["max_concurrent"],
        check_step_health_interval_seconds=config["look_every_s"],
    )
