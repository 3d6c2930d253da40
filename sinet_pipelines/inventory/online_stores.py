"""The online store of a region: a SQLite file of the home, or a Redis server; part of the region's row.

The row has the server's address, never a password (`features/online_access.py` reads it).
"""

import math
import re
from dataclasses import dataclass

from sinet_pipelines.errors import InventoryError

EXAMPLE = "rediss://online.west.example:6379/0"
LAG_LIMIT_S = 3600.0  # rows reach the online store seconds after they are made: an hour means that it is not written
PORT = 6379  # of Redis
_URL = re.compile(r"rediss?://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[0-9]{1,3})?")
_NO_PORT = re.compile(r":(?!//)(?![0-9]{1,5}(/[0-9]*)?$).*", re.DOTALL)


@dataclass(frozen=True)
class OnlineStore:
    """Where a region keeps its replica of the newest features.

    Attributes:
        url: address of a Redis server, `redis://host:port/database`, or `rediss://` for TLS; without a user and a
            password. Empty for a SQLite file of the home.
        user: user of the server; empty for its default user.
        lag_limit_s: seconds by which the newest event of the replica may be older than the newest of the tables.
    """

    url: str = ""
    user: str = ""
    lag_limit_s: float = LAG_LIMIT_S

    def __post_init__(self) -> None:
        if "@" in self.url or "?" in self.url:
            raise InventoryError(  # the message does not repeat the URL, since it may have a password
                "the url of an online store has a user, a password or options; give the user as `user`, and the "
                "password in a file or a variable (docs/online.md)"
            )
        if self.url and not _URL.fullmatch(self.url):
            shown = _NO_PORT.sub(":...", self.url)[:100]  # what follows a `:` may be a password
            raise InventoryError(f"the url of an online store is {shown!r}; give one like {EXAMPLE}, or none")
        if not all(1 <= port <= 65535 for port in self.ports):
            raise InventoryError(f"the url of an online store has a port outside 1 to 65535; give one like {EXAMPLE}")
        if self.user and not self.url:
            raise InventoryError(f"an online store has the user {self.user[:80]!r} and no url; add the server's url")
        if not (math.isfinite(self.lag_limit_s) and self.lag_limit_s > 0):
            raise InventoryError(f"lag_limit_s is {self.lag_limit_s}; give seconds above 0")

    @property
    def is_server(self) -> bool:
        """Whether it is a Redis server; else a SQLite file."""
        return bool(self.url)

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of the server; empty for a file.

        >>> OnlineStore("rediss://online.west.example").ports, OnlineStore().ports
        ((6379,), ())
        """
        found = _URL.fullmatch(self.url) if self.url else None
        return (int((found.group(2) or f":{PORT}")[1:]),) if found else ()

    @property
    def kind(self) -> str:
        """`redis` or `sqlite`."""
        return "redis" if self.is_server else "sqlite"
