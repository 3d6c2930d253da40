"""Which home may remove data of a region: a copy of a home, or another home with the same root, may need them too.

A home that removes has an identity: a random word in a file, together with the file's inode and time of change. A copy
of the home by `cp`, `rsync` or a restored backup has another identity; a home that was moved keeps its own.
"""

import hashlib
import secrets
from pathlib import Path

from sinet_pipelines.errors import UsageError
from sinet_pipelines.retention.places import Place
from sinet_pipelines.storage.files import write_whole
from sinet_pipelines.storage.layout import BLOBS
from sinet_pipelines.storage.roots import root_of

FILE = "retention_home"  # in a home
MARK = ".retention_home"  # at the root of a region: the identity of the one home that removes there


def identity_of(home: Path) -> str:
    """The identity of a home, 32 hex digits; empty where it has none yet."""
    path = home / FILE
    try:
        word, state = path.read_bytes(), path.stat()
    except FileNotFoundError:
        return ""
    if state.st_nlink != 1:
        return ""  # a copy by hard links has the same file
    return hashlib.sha256(b"%b %d %d" % (word, state.st_ino, state.st_ctime_ns)).hexdigest()[:32]


def identify(home: Path) -> str:
    """The identity of a home, made where it has none.

    Raises:
        DiskError: the home is not writable.
    """
    if not identity_of(home):  # a replaced file has no second link
        write_whole(home / FILE, secrets.token_hex(16).encode())
    return identity_of(home)


def is_inside(path: Path, home: Path) -> bool:
    """Whether a path leads to a place in the home, and no link on the way leads elsewhere.

    >>> is_inside(Path("/srv/home/EAST"), Path("/srv/home"))
    True
    """
    return path.is_relative_to(home) and path.resolve() == home.resolve() / path.relative_to(home)


def why_held(place: Place) -> str:
    """Why this home may remove nothing of a region, in one sentence; empty where it may.

    Raises:
        StorageError: the store of the region does not respond.
    """
    link = _link_in(place)
    if link is not None:
        return (
            f"{link} is a link, and another home may need the data there; name its target as a root in inventory.yaml"
        )
    mark = place.objects.get(MARK)
    if mark is None:
        root = root_of(place.home, place.region)
        if root.is_local and is_inside(Path(root.uri), place.home.absolute()):
            return ""
        where = f"the root of {place.region}, {root.uri}, is outside of this home, and another home may need its data"
    elif mark.content.decode(errors="replace") == identity_of(place.home):
        return ""
    else:
        where = f"another home, or the one that this home is a copy of, removes data of {place.region}"
    return f"{where}; `sinet retain --claim {place.region}` makes this home the only one that removes there"


def claim(place: Place) -> None:
    """Makes this home the only one that removes data of a region.

    Raises:
        UsageError: a folder of the region is a link.
        StorageError: the root cannot be written.
    """
    link = _link_in(place)
    if link is not None:
        raise UsageError(f"{link} is a link (allowed: folders); name its target as a root in inventory.yaml")
    place.objects.put(MARK, identify(place.home).encode())


def _link_in(place: Place) -> Path | None:
    """The first link among the folders of a region's tables and blobs."""
    if not place.is_local:
        return None
    root = Path(root_of(place.home, place.region).uri)
    folders = [root / BLOBS, *place.folders()]
    return next((folder for folder in folders if folder.is_symlink()), None)
