"""`sinet doctor` on stores: each answers, its region's credentials suffice, those of others open no raw rows."""

import secrets
from collections.abc import Iterator, Sequence

from sinet_pipelines.cli.finding import Finding
from sinet_pipelines.errors import ForbiddenError, StorageError
from sinet_pipelines.inventory.regions import Region
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.schemas.contract import DataClass
from sinet_pipelines.storage.credentials import has_credentials
from sinet_pipelines.storage.layout import BLOBS, LANDING
from sinet_pipelines.storage.objects import Objects, open_objects
from sinet_pipelines.storage.roots import store_options

POLICIES = "apply the bucket policy that `sinet render --policies DIR` writes"
_READ_BY_OTHERS = (DataClass.FEATURE, DataClass.MODEL)


def store_findings(regions: Sequence[Region]) -> list[Finding]:
    """What the stores of some regions lack, with the credentials that this process has; nothing is left on a store.

    Args:
        regions: of the inventory; one whose root is a folder has no finding.
    """
    found: list[Finding] = []
    for region in regions:
        if region.root is not None and not region.root.is_local:
            found += [_own(region, region.root), *_of_others(region, region.root, regions)]
    return found


def _own(region: Region, root: Root) -> Finding:
    name = f"store of {region.name}"
    if not has_credentials(region.name, store=region.name):
        return Finding(name, None, f"{root.uri} was not opened: no credentials of {region.name} here", "")
    try:
        _write_and_remove(_opened(root, region, region))
    except StorageError as error:
        return Finding(name, False, str(error), POLICIES if isinstance(error, ForbiddenError) else "")
    return Finding(name, True, f"{root.uri} answers, and {region.name} reads and writes it", "")


def _write_and_remove(objects: Objects) -> None:
    key = f"{BLOBS}/checked-by-sinet-doctor-{secrets.token_hex(4)}"
    objects.put_if_absent(key, b"1")
    try:
        objects.read(key)
        next(iter(objects.walk(LANDING)), None)
    finally:
        objects.delete(key)


def _of_others(region: Region, root: Root, regions: Sequence[Region]) -> Iterator[Finding]:
    """Checks what the credentials of other regions open at a store: accepted classes, and no raw rows."""
    for reader in regions:
        if reader.name != region.name and has_credentials(reader.name, store=region.name):
            yield _of_another(region, root, reader)


def _of_another(region: Region, root: Root, reader: Region) -> Finding:
    name = f"{reader.name} at the store of {region.name}"
    try:
        objects = _opened(root, region, reader)
        for data_class in _READ_BY_OTHERS:
            if data_class in reader.accepts:
                next(iter(objects.walk(data_class)), None)
        closed = [place for place in (DataClass.RAW, LANDING) if not _lists(objects, place)]
    except StorageError as error:
        return Finding(name, False, str(error), POLICIES if isinstance(error, ForbiddenError) else "")
    if len(closed) < 2:
        return Finding(name, False, f"{reader.name} may list raw rows or drops in {root.uri}", POLICIES)
    return Finding(name, True, "reads what it accepts, and no raw rows", "")


def _lists(objects: Objects, place: str) -> bool:
    try:
        next(iter(objects.walk(place)), None)
    except ForbiddenError:
        return False
    return True


def _opened(root: Root, region: Region, reader: Region) -> Objects:
    return open_objects(root.uri, store_options(root, store=region.name, reader=reader.name))
