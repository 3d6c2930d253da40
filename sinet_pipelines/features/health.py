"""Finds damage of a home's Feast store: its registry file and its online store. Feast itself is not imported."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sinet_pipelines.features.repository import ONLINE_FILE, PROJECT, REGISTRY_FILE, VIEW
from sinet_pipelines.storage.databases import database_fault
from sinet_pipelines.storage.health import StorageFault

ONLINE_TABLE = f"{PROJECT}_{VIEW}"  # name of the table in Feast's SQLite store


def store_faults(folder: Path, *, engines: int = 0) -> Iterator[StorageFault]:
    """Missing or damaged files of the folder.

    Args:
        folder: `<home>/feast`.
        engines: number of engines that the online store must have at least.
    """
    registry, online = folder / REGISTRY_FILE, folder / ONLINE_FILE
    try:
        content = registry.read_bytes()
    except OSError as error:
        yield StorageFault(registry, f"the feature registry cannot be read ({error.strerror})")
    else:
        if not _is_message(content) or VIEW.encode() not in content or PROJECT.encode() not in content:
            yield StorageFault(registry, "the feature registry is damaged")
    fault = database_fault(online, tables=[ONLINE_TABLE])
    if fault is None and engines:
        fault = _engines_fault(online, engines)
    if fault is not None:
        yield fault


def _engines_fault(online: Path, engines: int) -> StorageFault | None:
    try:
        with closing(sqlite3.connect(f"{online.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            query = f'SELECT COUNT(DISTINCT entity_key) FROM "{ONLINE_TABLE}"'  # noqa: S608
            found = connection.execute(query).fetchone()[0]
    except sqlite3.DatabaseError as error:
        return StorageFault(online, f"it is damaged ({error})")
    if found < engines:
        return StorageFault(online, f"the online store has {found} engines, recorded were {engines}")
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
