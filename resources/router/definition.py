"""`region_router` as the code location declares it; its parts are imported when a run executes.

Every process that loads the code location imports this module. Among them are step pods, which have no Kubernetes
client.
"""

import math
import os
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from resources.dagster_private import (
    InitExecutorContext,
    RetryMode,
    get_retries_config,
    multiple_process_executor_requirements,
)
from sinet_pipelines.errors import UsageError

if TYPE_CHECKING:
    from resources.router.executor import RegionExecutor

LOOK_VARIABLE = "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS"  # Dagster's own name
LOOK_S = 0.5  # between two reads of the event log (Dagster's default: 1); delays each step after the one before it


def look_s(text: str | None) -> float:
    """Seconds between two reads of the event log: the value of the variable, or the default where it is not set.

    Raises:
        UsageError: the text is not a number above 0.

    >>> look_s("2"), look_s(None)
    (2.0, 0.5)
    """
    try:
        seconds = LOOK_S if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{LOOK_VARIABLE} is {text!r} (allowed: seconds above 0); set it to such a number or unset it")
    return seconds


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
            dg.IntSource, default_value=5, description="Seconds between two polls of a step's Job."
        ),
        "retries": get_retries_config(),
        "per_step_k8s_config": dg.Field(
            dg.Map(str, dict, key_label_name="step_name"),
            default_value={},
            description="Configuration by op name, merged over that of the assets for one launch.",
        ),
        "patience": dg.Field(
            dg.Map(str, float, key_label_name="what"),
            default_value={},
            description="Time limits in seconds, by the names in resources/router/clock.py (`lost_s`, `pending_s`).",
        ),
    },
    requirements=multiple_process_executor_requirements(),
)
def region_router(init_context: InitExecutorContext) -> "RegionExecutor":
    """Runs each step in its region's cluster as a Job; cheap steps run as processes beside the run."""
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
        sleep_seconds=look_s(os.environ.get(LOOK_VARIABLE)),
        retries=RetryMode.from_config(config["retries"]),
        max_concurrent=config["max_concurrent"],
        check_step_health_interval_seconds=config["look_every_s"],
    )
