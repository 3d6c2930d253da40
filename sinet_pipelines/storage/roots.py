"""The root of each region of a home: its own folder, or the place in the inventory, recorded in the home.

`roots.json` in a home repeats the places of the inventory, so that programs find the data of a home without the
inventory. It has addresses, never a credential.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from sinet_pipelines.errors import InventoryError, StorageError
from sinet_pipelines.inventory.roots import Root, require_apart
from sinet_pipelines.storage.credentials import credentials
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.objects import Objects, open_objects

FILE = "roots.json"  # in a home
TIMEOUT_S = 30  # until a response of a store begins or continues
CONNECT_S = 5
RETRIES = 3


class _Row(Protocol):
    """The fields of a region's row that are read here."""

    @property
    def name(self) -> str: ...

    @property
    def root(self) -> Root | None: ...


def settle_roots(home: Path, regions: Iterable[_Row]) -> dict[str, Root]:
    """The root of every region of a home; the home records the roots outside of it.

    Args:
        home: home of the regions.
        regions: rows of the inventory.

    Raises:
        InventoryError: two regions have the same root, or one is inside another; nothing was recorded.
    """
    rows = list(regions)
    named = {row.name: row.root for row in rows if row.root is not None}
    roots = {row.name: row.root or _own_folder(home, row.name) for row in rows}
    require_apart({name: _resolved(root) for name, root in roots.items()})
    content = json.dumps({name: asdict(root) for name, root in sorted(named.items())}, indent=1).encode()
    path = home / FILE
    if named and _bytes(path) != content or not named and path.exists():
        write_whole(path, content)
    return roots


def root_of(home: Path, region: str) -> Root:
    """The root of a region of a home.

    Raises:
        StorageError: the home's record of roots is damaged.
    """
    return _roots(home).get(region) or _own_folder(home, region)


def region_folder(home: Path, region: str) -> Path:
    """The folder of a region: the one in the inventory, else that in the home.

    Raises:
        StorageError: the home's record of roots is damaged.
    """
    root = _roots(home).get(region)
    return Path(root.uri) if root is not None and root.is_local else home / region


def local_roots(home: Path) -> list[Path]:
    """The folders outside of a home that are roots of its regions in the inventory, in order.

    Raises:
        StorageError: the home's record of roots is damaged.
    """
    return sorted(Path(root.uri) for root in _roots(home).values() if root.is_local)


def stored_roots(home: Path) -> dict[str, Root]:
    """The roots of a home's regions that are on a store, by region.

    Raises:
        StorageError: the home's record of roots is damaged.
    """
    return {name: root for name, root in _roots(home).items() if not root.is_local}


@dataclass(frozen=True)
class Stores(Mapping[str, Objects]):
    """The objects of regions of a home whose root is a store; each store is opened at its lookup.

    Attributes:
        home: home of the regions.
        reader: region whose credentials open the stores; None for each region itself.
    """

    home: Path
    reader: str | None = None

    def __getitem__(self, region: str) -> Objects:
        """The objects under the root of a region; raises KeyError where it is a folder.

        Raises:
            StorageError: the reader has no credentials at that store.
        """
        root = stored_roots(self.home)[region]
        return open_objects(root.uri, access_options(self.home, region, reader=self.reader))

    def __contains__(self, region: object) -> bool:
        """Whether the root of a region is a store; it is not opened."""
        return region in stored_roots(self.home)

    def __iter__(self) -> Iterator[str]:
        return iter(stored_roots(self.home))

    def __len__(self) -> int:
        return len(stored_roots(self.home))


def access_options(home: Path, region: str, *, reader: str | None = None) -> dict[str, str]:
    """The options that open tables and objects of a region; empty where its root is a folder.

    The credentials are read at each call, so that replaced credentials are used at once.

    Args:
        home: home of the region.
        region: region of the data.
        reader: region whose credentials are used; None for the region itself.

    Raises:
        StorageError: the reader has no credentials at that store.
    """
    root = root_of(home, region)
    return {} if root.is_local else store_options(root, store=region, reader=reader or region)


def options_at(home: Path, uri: str, *, reader: str | None = None) -> dict[str, str]:
    """The options that open an address below the root of any region of a home; empty for a path.

    Args:
        home: home of the regions.
        uri: address of a table.
        reader: region whose credentials are used; None for the region of that root.

    Raises:
        StorageError: no region of the home has a root there, or the reader has no credentials at that store.
    """
    if "://" not in uri:
        return {}
    for region, root in stored_roots(home).items():
        if uri.startswith(f"{root.uri}/"):
            return access_options(home, region, reader=reader)
    raise StorageError(f"{uri} is below the root of no region of {home}; name the root in inventory.yaml")


def store_options(root: Root, *, store: str, reader: str) -> dict[str, str]:
    """The options that open tables and objects below a root on a store.

    Args:
        root: root of a region.
        store: the region of the root.
        reader: region whose credentials are used.

    Raises:
        StorageError: the reader has no credentials at that store.
    """
    found = {
        **credentials(reader, store=store),
        "AWS_REGION": root.region,
        "aws_conditional_put": "etag",
        "aws_virtual_hosted_style_request": "false",
        "timeout": f"{TIMEOUT_S}s",
        "connect_timeout": f"{CONNECT_S}s",
        "max_retries": str(RETRIES),
        "retry_timeout": f"{TIMEOUT_S}s",
    }
    if root.endpoint_url:
        found["AWS_ENDPOINT_URL"] = root.endpoint_url.rstrip("/")
    if root.endpoint_url.startswith("http://"):
        found["AWS_ALLOW_HTTP"] = "true"
    return found


def _own_folder(home: Path, region: str) -> Root:
    return Root(str((home / region).absolute()))


def _resolved(root: Root) -> Root:
    return Root(str(Path(root.uri).resolve())) if root.is_local else root


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _roots(home: Path) -> Mapping[str, Root]:
    """The roots in the home's record, by region."""
    path = home / FILE
    try:
        state = path.stat()
    except FileNotFoundError:
        return {}
    return _recorded(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=64)
def _recorded(path: Path, *_state: int) -> Mapping[str, Root]:
    """The roots in a home's record; cached by the state of the file."""
    try:
        recorded = json.loads(path.read_bytes())
        return {str(name): Root(**row) for name, row in recorded.items()}
    except (ValueError, TypeError, AttributeError, InventoryError) as error:
        raise StorageError(
            f"{path} is damaged ({error}); remove it, `sinet run` writes it again from inventory.yaml"
        ) from error
