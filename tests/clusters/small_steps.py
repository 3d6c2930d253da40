"""Seven small steps of two regions, for simulated runs in which one pod may execute several of them."""

import dagster as dg

from resources.router.retries import RETRIES
from tests.clusters.graph import bound, simulated_router, work

EAST = bound("EAST", "cpu", is_preemptible=True, retry_policy=RETRIES)
WEST = bound("WEST", "cpu", is_preemptible=True, retry_policy=RETRIES)


@dg.asset(**EAST)
def intake(context) -> None:
    work(context)


@dg.asset(deps=[intake], **EAST)
def cleaned(context) -> None:
    work(context)


@dg.asset(deps=[cleaned], **EAST)
def windows(context) -> None:
    work(context)


@dg.asset(deps=[cleaned], **EAST)
def profile(context) -> None:
    work(context)


@dg.asset(deps=[windows], **WEST)
def summary(context) -> None:
    work(context)


@dg.asset(deps=[summary], **WEST)
def digest(context) -> None:
    work(context)


@dg.asset(deps=[profile, digest], **EAST)
def page(context) -> None:
    work(context)


defs = dg.Definitions(assets=[intake, cleaned, windows, profile, summary, digest, page], executor=simulated_router)
