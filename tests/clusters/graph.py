"""Five assets in three regions, for simulated runs; `routed.py` has them for runs whose steps are processes."""

import os
import time

import dagster as dg

from resources.placement import HARDWARE_TAG, REGION_TAG
from resources.router.retries import RETRIES
from sinet_pipelines.placement.needs import Needs
from tests.clusters import hooks

GPUS = (("EAST", "nvidia-a100"), ("WEST", "nvidia-a100"))


def bound(region, hardware, *, retry_policy=None, hours=0.1, **needs):
    return {
        "op_tags": {REGION_TAG: region, HARDWARE_TAG: hardware, "sinet/needs": Needs(hours=hours, **needs).to_json()},
        "retry_policy": retry_policy,
    }


def work(context):
    """What a step does: in a simulation it may be told to end, in a process it takes a moment."""
    if hooks.worker is not None:
        hooks.worker.work(context)
    else:
        time.sleep(float(os.environ.get("STEP_S", "0")))


@dg.asset(**bound("EAST", "cpu", is_preemptible=True, retry_policy=RETRIES))
def readings(context) -> None:
    work(context)


@dg.asset(deps=[readings], **bound("EAST", "cpu"))
def features(context) -> None:
    work(context)


@dg.asset(
    deps=[features],
    **bound("EAST", "nvidia-h100", count=1, is_preemptible=True, may_move_to=GPUS, retry_policy=RETRIES),
)
def model(context) -> None:
    work(context)


@dg.asset(
    deps=[model],
    **bound("WEST", "nvidia-t4", count=1, may_move_to=(("WEST", "nvidia-a10"),), retry_policy=RETRIES),
)
def small_model(context) -> None:
    work(context)


@dg.asset(deps=[features, model], **bound("NULL_ISLAND", "cpu", storage=("parallel-file-system",)))
def report(context) -> None:
    work(context)


@dg.executor(name="simulated_router")
def simulated_router(init_context):
    """The router under the running simulation's clock."""
    return hooks.router()


ASSETS = [readings, features, model, small_model, report]
defs = dg.Definitions(assets=ASSETS, executor=simulated_router)
