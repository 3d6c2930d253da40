"""Finds damage of a home's Feast store: its registry file and its replicas. Feast itself is not imported."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from sinet_pipelines.features.replicas import PROJECT, VIEW, ReplicaPlace, read_records, replica_faults
from sinet_pipelines.storage.health import StorageFault

REGISTRY_FILE = "registry.db"


def store_faults(folder: Path, *, engines: int = 0, replica: ReplicaPlace | None = None) -> Iterator[StorageFault]:
    """Missing or damaged parts of the folder and its replicas.

    Args:
        folder: `<home>/feast`.
        engines: number of engines that the online store must have at least.
        replica: the only replica to look at; None for all that were written.
    """
    if (fault := registry_fault(folder)) is not None:
        yield fault
    places = [one.place for one in read_records(folder)] if replica is None else [replica]
    yield from chain.from_iterable(replica_faults(place, engines=engines) for place in places)


def registry_fault(folder: Path) -> StorageFault | None:
    """The fault of the registry file; None where it is whole.

    Args:
        folder: `<home>/feast`.
    """
    registry = folder / REGISTRY_FILE
    try:
        content = registry.read_bytes()
    except OSError as error:
        return StorageFault(registry, f"the feature registry cannot be read ({error.strerror})")
    if not _is_message(content) or VIEW.encode() not in content or PROJECT.encode() not in content:
        return StorageFault(registry, "the feature registry is damaged")
    return None


def _is_message(content: bytes) -> bool:
    """Whether the bytes are one complete protocol buffer message: each field ends where its length ends."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(content, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(content, at)
            at += length
        else:
            return False
        if tag < 8 or at > len(content):
            return False
    return at == len(content) > 0


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number at a place and the place after it; beyond the end where it is incomplete."""
    number = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return number, at
    return 0, len(content) + 1
