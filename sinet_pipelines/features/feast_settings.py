"""The settings of Feast's stock SDK, `feature_store.yaml`: one in the home, and one for the replica of each region.

No file has a password: the online store reads it when it connects.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sinet_pipelines.features.health import REGISTRY_FILE
from sinet_pipelines.features.replicas import PROJECT, ReplicaPlace
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import relative_uri

FILE = "feature_store.yaml"
_HEAD = "# written by `sinet run`: feast.FeatureStore(repo_path=<this folder>) opens the store of this home\n"


def feast_settings(
    place: ReplicaPlace, *, registry: str, online: str, home: str = "", reader: str = ""
) -> dict[str, Any]:
    """The settings of a replica, without what a store needs that is secret.

    Args:
        place: of the replica.
        registry: path of the registry file.
        online: path of the replica's file.
        home: as in the config of the offline store.
        reader: as in the config of the offline store.
    """
    offline = {"type": "sinet_pipelines.features.store.DeltaOfflineStore", "home": home, "reader": reader}
    return {
        "project": PROJECT,
        "provider": "local",
        "entity_key_serialization_version": 3,
        "registry": {"registry_type": "file", "path": registry},
        "online_store": place.open().settings(online),
        "offline_store": {name: value for name, value in offline.items() if value},
        "materialization_config": {"pull_latest_features": True},  # whoever materialises gets newest rows as well
    }


def write_settings(place: ReplicaPlace, *, is_main: bool) -> None:
    """Writes the files where Feast's SDK looks for them; one with this content is kept.

    Args:
        place: of the replica.
        is_main: whether the home's own file opens this replica.

    Raises:
        DiskError: the disk is full or the place is not writable.
    """
    root = place.folder.parent
    if is_main:
        registry, online = (relative_uri(str(one), root) for one in (place.folder / REGISTRY_FILE, place.database))
        _write(root / FILE, feast_settings(place, registry=registry, online=online))
    if place.region:
        own = feast_settings(place, registry=f"../{REGISTRY_FILE}", online=place.database.name, home="../..")
        _write(place.own / FILE, own)


def _write(path: Path, settings: Mapping[str, Any]) -> None:
    content = (_HEAD + yaml.safe_dump(dict(settings), sort_keys=False)).encode()
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)
