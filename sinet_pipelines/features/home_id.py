"""The id of a home on servers that several homes share; a copy of a home gets another one.

The file has the number of its own inode: a moved or renamed home keeps it, a copied or restored one does not.
"""

import os
import secrets
from pathlib import Path

import orjson

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.fingerprint import fingerprint
from sinet_pipelines.storage.locks import held
from sinet_pipelines.storage.roots import root_of

FILE = "home.json"  # in the folder of the feature store


def read_home_id(folder: Path) -> str:
    """The id of the home; empty where it has none, or where its file was copied from another home.

    Args:
        folder: of the feature store.
    """
    try:
        with (folder / FILE).open("rb") as file:
            found, inode = orjson.loads(file.read()), os.fstat(file.fileno()).st_ino
        return str(found["id"]) if found["inode"] == inode else ""
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""


def sender_id(home: Path, region: str, *, folder: Path) -> str:
    """The id under which a region of a home sends rows to a server that several homes share.

    A region whose root is outside of the home has an id of that root, since a pod has an empty home: that of its bucket
    and prefix, or one in the folder.

    Args:
        home: the home.
        region: its name.
        folder: of the feature store.

    Raises:
        StorageError: the home's record of roots is damaged, or the root is a folder that is not there.
    """
    root = root_of(home, region)
    if not root.is_local:
        return fingerprint(root.endpoint_url, root.uri)[:12]
    outside = Path(root.uri).resolve()
    if not outside.is_dir():  # such as a volume that is not mounted: a new id would leave the earlier rows in place
        raise StorageError(
            f"the root of {region}, {outside}, is no folder; mount it, or correct `root` in inventory.yaml"
        )
    own = folder if outside.is_relative_to(home.resolve()) else outside / ".home"
    with held(own / ".lock"):
        return settle_home_id(own)


def settle_home_id(folder: Path) -> str:
    """The id of the home; a new one is written where it has none.

    Args:
        folder: of the feature store; its lock is held.
    """
    if known := read_home_id(folder):
        return known
    folder.mkdir(parents=True, exist_ok=True)
    partial, made = folder / f".{FILE}.{secrets.token_hex(4)}", secrets.token_hex(6)
    try:
        with partial.open("xb") as file:
            file.write(orjson.dumps({"id": made, "inode": os.fstat(file.fileno()).st_ino}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / FILE)
    finally:
        partial.unlink(missing_ok=True)
    return made
