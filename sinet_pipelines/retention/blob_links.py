"""Which blobs a blob names: a candidate names the files of its model, a record of a choice the graphs it chose from.

The result for a blob never changes, since its name is the hash of its content; a cache in the home keeps it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.cache import read_cache, write_cache

CACHE = "cache/blob_links.json"  # in a home
_NAME = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_JSON = (b"{", b"[")


@dataclass(frozen=True)
class Links:
    """What a blob names.

    Attributes:
        blobs: names of blobs.
        run_id: id of a run in MLflow, for a candidate.
        training_set: content hash of a training set, for a candidate.
    """

    blobs: tuple[str, ...] = ()
    run_id: str = ""
    training_set: str = ""


def links_of(home: Path, blobs: BlobStore, names: Iterable[str]) -> dict[str, Links]:
    """What each of these blobs names; nothing for one that is no JSON. A blob that was changed or removed is left out.

    Args:
        home: with the cache.
        blobs: with the blobs.
        names: of the blobs.

    Raises:
        StorageError: a store does not respond.
    """
    cached, found = read_cache(home / CACHE), {}
    added: dict[str, Any] = {}
    for name in names:
        entry = cached.get(name)
        if isinstance(entry, Mapping):
            found[name] = _from_json(entry)
        elif (links := _read(blobs, name)) is not None:
            found[name] = links
            added[name] = asdict(links)
    if added:
        write_cache(home / CACHE, {**cached, **added})
    return found


def links_in(content: bytes) -> Links:
    """What a content names.

    >>> links_in(b'{"files": {"model.txt": "' + b"a" * 64 + b'"}, "run_id": "7"}').run_id
    '7'
    """
    if not content.startswith(_JSON):
        return Links()
    names = tuple(sorted({one.decode() for one in _NAME.findall(content)}))
    try:
        plain = json.loads(content)
    except ValueError:
        return Links(names)
    facts = plain if isinstance(plain, dict) else {}
    return Links(names, _text(facts.get("run_id")), _text(facts.get("training_set_version")))


def _read(blobs: BlobStore, name: str) -> Links | None:
    try:
        return links_in(blobs.get(name)) if blobs.first_bytes(name, 1) in _JSON else Links()
    except StorageError:
        if blobs.objects is not None and blobs.size(name) is not None:
            raise  # the store does not respond: what the blob names is not known
        return None


def _from_json(entry: Mapping[str, Any]) -> Links:
    return Links(tuple(entry.get("blobs", ())), _text(entry.get("run_id")), _text(entry.get("training_set")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
