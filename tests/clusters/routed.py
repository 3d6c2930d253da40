"""The five assets and some more with the router as it is shipped: steps are processes, in pods or beside the run."""

import os
import sys

import dagster as dg

from resources.router.definition import region_router
from tests.clusters.gated import table
from tests.clusters.graph import ASSETS, bound


@dg.asset(**bound("EAST", "cpu", is_cheap=True))
def tidy() -> dg.MaterializeResult:
    """Cheap: it tells which process made it."""
    return dg.MaterializeResult(metadata={"parent": os.getppid()})


@dg.asset(**bound("EAST", "cpu", is_cheap=True))
def untidy() -> None:
    """Cheap, and its process goes without a word."""
    sys.stderr.write("it all went wrong\n")
    sys.stderr.flush()
    os._exit(3)


@dg.asset
def unbound() -> None:
    """Bound to no region."""


@dg.asset(**bound("NULL_ISLAND", "cpu"))
def crashing() -> None:
    """In a pod, and its process goes without a word."""
    sys.stderr.write("no such instruction\n")
    sys.stderr.flush()
    os._exit(4)


defs = dg.Definitions(assets=[*ASSETS, tidy, untidy, unbound, crashing, table], executor=region_router)
