"""Small steps of one region, one after another, with the router as it is shipped; they tell which process made them."""

import os
import socket
import threading
import time
from pathlib import Path

import dagster as dg

from resources.router.definition import region_router
from tests.clusters.graph import bound


def recorded() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"process": os.getpid(), "pod": socket.gethostname()})


@dg.asset(**bound("EAST", "cpu"))
def first() -> dg.MaterializeResult:
    """Small; it waits for its gate, if it has one, and leaves a thread that would keep its process for ever."""
    threading.Thread(target=threading.Event().wait).start()
    while "GATE" in os.environ and not Path(os.environ["GATE"]).exists():
        time.sleep(0.05)
    return recorded()


@dg.asset(deps=[first], **bound("EAST", "cpu"))
def second(context) -> dg.MaterializeResult:
    """Follows it, and takes a moment the first time."""
    if context.retry_number == 0:
        time.sleep(float(os.environ.get("STEP_S", "0")))
    return recorded()


@dg.asset(deps=[second], **bound("EAST", "cpu"))
def third() -> dg.MaterializeResult:
    """Follows it."""
    return recorded()


defs = dg.Definitions(assets=[first, second, third], executor=region_router)
