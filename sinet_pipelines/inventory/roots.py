"""The place of a region's data: a folder of this machine, or a prefix of a bucket of an S3-compatible store.

The row has addresses and names of secrets, never a credential (`storage/credentials.py` reads credentials).
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sinet_pipelines.errors import InventoryError

S3 = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # no dots: invalid for the certificates of a store's hosts
# the Delta library truncates an address at # and ?, and looks for checkpoints in a wrong place if it has a space
_NAMES = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
ALLOWED = "allowed: /a/folder, s3://bucket, or s3://bucket/prefix of a-z, A-Z, 0-9, . _ and -"


@dataclass(frozen=True)
class Root:
    """The root of a region's data.

    Attributes:
        uri: `/folder` or `s3://bucket/prefix`, without a slash at its end.
        endpoint_url: URL of the store, `https://...`; empty for Amazon's in the signing region, and for a folder.
        region: the store's own region, used in signatures of requests.
        secret: the Secret that in each cluster holds that region's own credentials at this store, with the keys
            `access_key_id`, `secret_access_key` and perhaps `session_token`; empty for `sinet-store-<region>`.
        account: number of the store's account with the regions' users; empty where a store has none.
    """

    uri: str
    endpoint_url: str = ""
    region: str = "us-east-1"
    secret: str = ""
    account: str = ""

    def __post_init__(self) -> None:
        if not self._is_spelled():
            raise InventoryError(f"the root {self.uri[:100]!r} cannot be read ({ALLOWED}); write one of these")
        if self.endpoint_url and not re.fullmatch(r"https?://[^\s/?#@]+/?", self.endpoint_url):
            raise InventoryError(
                f"the endpoint {self.endpoint_url[:100]!r} of {self.uri} is no address of a store (allowed: "
                "https://host:port, without a user or a path); write one"
            )
        if not re.fullmatch(r"[A-Za-z0-9]{0,64}", self.account):
            found = f"the account {self.account[:80]!r} of {self.uri} is no number"
            raise InventoryError(f"{found}; write its digits in quotes")
        if self.endpoint_url and self.is_local:
            raise InventoryError(f"{self.uri} is a folder and has no endpoint; remove endpoint_url, or name a bucket")

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return not self.uri.startswith(S3)

    @property
    def bucket(self) -> str:
        """The store's bucket; empty for a folder."""
        return "" if self.is_local else self.uri.removeprefix(S3).partition("/")[0]

    @property
    def prefix(self) -> str:
        """The prefix in the bucket, without slashes at its ends; empty for the whole bucket and for a folder."""
        return "" if self.is_local else self.uri.removeprefix(S3).partition("/")[2]

    def _is_spelled(self) -> bool:
        if self.uri.startswith("/"):
            return posixpath.normpath(self.uri) == self.uri and self.uri != "/"
        if not self.uri.startswith(S3) or not _BUCKET.fullmatch(self.bucket) or self.uri.endswith("/"):
            return False
        names = self.prefix.split("/")
        return not self.prefix or (_NAMES.fullmatch(self.prefix) is not None and not {".", ".."}.intersection(names))


def require_apart(roots: Mapping[str, Root]) -> None:
    """Rejects two regions with the same root, and a root inside another region's root.

    Args:
        roots: roots by region.

    Raises:
        InventoryError: two roots overlap.
    """
    seen: list[tuple[str, Root]] = []
    for name, root in roots.items():
        for other, there in seen:
            if _place(root) == _place(there):
                raise InventoryError(
                    f"{other} and {name} have one root, {root.uri}; each region has one of its own: change one of them"
                )
            inner, outer = sorted([(name, root), (other, there)], key=lambda one: len(_place(one[1])), reverse=True)
            if _place(inner[1])[: len(_place(outer[1]))] == _place(outer[1]):
                raise InventoryError(
                    f"the root of {inner[0]}, {inner[1].uri}, lies in that of {outer[0]}, {outer[1].uri}; "
                    "move one of them beside the other"
                )
        seen.append((name, root))


def _place(root: Root) -> tuple[str, ...]:
    """The parts of the place, outermost first: the store or this machine, then the names."""
    if root.is_local:
        return ("", *root.uri.strip("/").split("/"))
    return (root.endpoint_url.rstrip("/") or S3, root.bucket, *filter(None, root.prefix.split("/")))


def secret_of(region: str, root: Root) -> str:
    """The name of the Secret with a cluster's own credentials at the store of a region.

    >>> secret_of("NULL_ISLAND", Root("s3://sinet-null-island/plant"))
    'sinet-store-null-island'
    """
    return root.secret or f"sinet-store-{region.lower().replace('_', '-')}"
