"""The time-series store that a region's rows are sent to, as a part of its row."""

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sinet_pipelines.errors import InventoryError

EXAMPLE = "http://127.0.0.1:8428"
_SECRETS = frozenset({"token", "u", "user", "username", "p", "password", "pass", "api_key", "apikey", "key"})
_TABLE = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*")


class StoreKind(StrEnum):
    """What a time-series store can do beside taking lines."""

    VICTORIA_METRICS = "victoria-metrics"  # counts rows and removes days; the URL is its root
    INFLUXDB = "influxdb"  # the same with InfluxQL (1.x); the URL ends in the name of the database
    LINE_PROTOCOL = "line-protocol"  # takes lines at the URL alone


@dataclass(frozen=True)
class StoreAddress:
    """The store that rows are sent to; with another one, all days are sent again.

    Attributes:
        kind: what it can do.
        url: its URL.
    """

    kind: StoreKind
    url: str


@dataclass(frozen=True)
class TimeSeries:
    """A store of time series, and the tables whose rows it gets.

    Attributes:
        url: of the store: its root for `victoria-metrics`, root and database for `influxdb`
            (`http://127.0.0.1:8086/plant`), the URL that lines are sent to for `line-protocol`.
        tables: as `application/table`, such as `turbofan/validated_telemetry`; each has days or `recorded_at`.
        kind: what the store can do.
        in_region: the region in which the store is; empty for the region of the row.
        token_file: absolute path of a file with the store's token, which only its owner can read; empty for the token
            in `SINET_<REGION>_TIME_SERIES_TOKEN`, or none.
        token_scheme: the word before the token in the header `Authorization`: Bearer, or Token for InfluxDB.
        ca_file: absolute path of the certificates of the authority that signed the store's; empty for the system's.
    """

    url: str
    tables: tuple[str, ...]
    kind: StoreKind = StoreKind.VICTORIA_METRICS
    in_region: str = ""
    token_file: str = ""
    token_scheme: str = "Bearer"  # noqa: S105 - the name of a scheme, no secret
    ca_file: str = ""

    def __post_init__(self) -> None:
        # no message repeats the URL, since it may have a password
        if "@" in self.url.partition("?")[0]:
            raise InventoryError("the url of time_series has a user or a password; put a token into a `token_file`")
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise InventoryError(
                "the url of time_series has a space, a control character or one outside ASCII; write it as %20"
            )
        parts = self._parts()
        named = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} & _SECRETS)
        if named:
            raise InventoryError(
                f"the url of time_series has {named[0]} in its query; put a token into a `token_file` and remove it"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise InventoryError(
                f"the url of time_series is no http or https URL with a host and without `#`; give one like {EXAMPLE}"
            )
        if parts.scheme == "http" and not self.is_loopback:
            raise InventoryError(
                f"the url of time_series is http to {parts.hostname}: rows and token would travel in the open; use "
                "https, or a store or proxy on loopback"
            )
        if self.kind is StoreKind.INFLUXDB and not re.fullmatch("/[^/]+/?", parts.path):
            raise InventoryError(
                f"the url of time_series has the path {parts.path!r}, which names no database; give one like "
                "http://127.0.0.1:8086/plant"
            )
        if self.kind is not StoreKind.LINE_PROTOCOL and parts.query:
            raise InventoryError("the url of time_series has a `?`, which only the kind line-protocol has; remove it")
        self._check_tables()
        if self.token_scheme not in ("Bearer", "Token"):
            raise InventoryError(f"token_scheme is {self.token_scheme[:20]!r}; allowed are Bearer and Token")
        for name in ("token_file", "ca_file"):
            if getattr(self, name) and not Path(getattr(self, name)).is_absolute():
                raise InventoryError(f"{name} of time_series is {getattr(self, name)[:80]!r}; give an absolute path")

    @property
    def address(self) -> StoreAddress:
        """The store without what may change: token, certificates and tables."""
        return StoreAddress(self.kind, self.url)

    @property
    def is_loopback(self) -> bool:
        """Whether the store is on the machine that sends."""
        host = self._parts().hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def tables_of(self, application: str) -> tuple[str, ...]:
        """Names of an application's tables."""
        return tuple(name.partition("/")[2] for name in self.tables if name.partition("/")[0] == application)

    def _check_tables(self) -> None:
        if not self.tables:
            raise InventoryError("time_series has no tables, so nothing is sent; name them as application/table")
        if wrong := [name for name in self.tables if not _TABLE.fullmatch(name)]:
            raise InventoryError(f"time_series has a table {wrong[0][:80]!r}; give <application>/<table>")
        if len(set(self.tables)) < len(self.tables):
            raise InventoryError("time_series names a table twice; remove one")

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            _ = parts.port  # a port that is no number is found when it is read
        except ValueError:  # its text may have a part of a password
            raise InventoryError(f"the url of time_series is no URL; give one like {EXAMPLE}") from None
        return parts
