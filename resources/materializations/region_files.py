"""Lists the files of the regions of a home, to notice a change; no file is opened.

It imports neither Dagster nor polars: `sinet status` needs none of them while nothing changes.
"""

from collections.abc import Iterator
from pathlib import Path

from resources.deployment import Deployment
from sinet_pipelines.ingestion.misplaced import unknown_regions
from sinet_pipelines.storage.layout import CLASSES, FREE, LANDING
from sinet_pipelines.storage.listing import listing
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import access_options, root_of


def files_of_regions(deployment: Deployment) -> Iterator[bytes]:
    """One line for each file of the regions of a home, except blobs.

    Of regions that run apart, only files that may leave them are listed.
    """
    yield from files_outside(deployment)
    for region in deployment.inventory.names:
        for one in (LANDING, *CLASSES) if deployment.is_one_machine else FREE:
            yield from files_below(deployment.home, region, one)


def files_outside(deployment: Deployment) -> Iterator[bytes]:
    """One line for each file in a folder that resembles a region's but is none; empty where regions run apart."""
    home = deployment.home
    if deployment.is_one_machine:
        yield from listing(str(home / LANDING))  # a landing folder outside the regions
        for name in unknown_regions(home, deployment.inventory.names):
            yield from listing(str(home / name))


def files_below(home: Path, region: str, below: str) -> Iterator[bytes]:
    """One line with name, size and time for each file below a folder of a region's root."""
    root = root_of(home, region)
    if root.is_local:
        yield from listing(str(Path(root.uri) / below), is_zone=True)
        return
    for one in open_objects(root.uri, access_options(home, region)).walk(below):
        yield repr(one).encode()
