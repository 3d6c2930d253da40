"""The streams that a region's cluster reads from brokers, as parts of its row."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sinet_pipelines.errors import InventoryError

EXAMPLE = "nats://broker:4222/mills"
_URL = re.compile(r"[a-z]+://[^\s/?]+/[^\s?]+")
_STREAM_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # a part of the ids of transactions in the table
_SECRET_NAME = re.compile("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Stream:
    """A stream whose rows belong to one region and application.

    Attributes:
        url: its address, as for `sinet ingest`: `nats://broker:4222/mills`, without a user or a password.
        application: the application of its rows.
        name: its name in the table; empty for its name at the broker.
        options_secret: the Secret in the region's cluster with the key `options.json`, the options of the broker's
            client; other keys are files beside it, such as certificates. Empty for no options.
        cpu_millicores: CPU of the pod that reads it.
        memory_mib: memory of that pod.
    """

    url: str
    application: str
    name: str = ""
    options_secret: str = ""
    cpu_millicores: int = 1000
    memory_mib: int = 2048

    def __post_init__(self) -> None:
        if "@" in self.url.partition("://")[2].partition("/")[0] or "?" in self.url:
            raise InventoryError(  # the message does not repeat the URL, since it may have a password
                f"the url of the stream of {self.application[:80]} has a user, a password or a `?`; put the client's "
                "options into a Secret and name it as `options_secret`"
            )
        if not _URL.fullmatch(self.url):
            raise InventoryError(f"the url of a stream is {self.url[:100]!r}; give one like {EXAMPLE}")
        if self.name and not _STREAM_NAME.fullmatch(self.name):
            allowed = "letters, digits, . _ and -, at most 63"
            raise InventoryError(f"a stream is called {self.name[:80]!r}; allowed are {allowed}")
        if self.options_secret and not _SECRET_NAME.fullmatch(self.options_secret):
            allowed = "small letters, digits, '-' and '.', at most 253"
            raise InventoryError(f"options_secret is {self.options_secret[:80]!r}; allowed are {allowed}")
        if min(self.cpu_millicores, self.memory_mib) < 1:
            raise InventoryError("a stream without cpu_millicores or memory_mib; give whole numbers of 1 or more")


def require_distinct(region: str, streams: Sequence[Stream]) -> None:
    """Rejects two streams of one name, and two of one application.

    Args:
        region: name of the region.
        streams: its streams.

    Raises:
        InventoryError: two streams have one name, or one application.
    """
    if twice := _repeated([one.name for one in streams if one.name]):
        raise InventoryError(f"two streams of {region} are called {twice}; rename one")
    if twice := _repeated([one.application for one in streams]):
        raise InventoryError(
            f"two streams of {region} have the application {twice}, and one process at a time stores streams of a "
            "region and application; keep one, for several topics of MQTT with a wildcard"
        )


def _repeated(words: Sequence[str]) -> str:
    return next((one for place, one in enumerate(words) if one in words[:place]), "")
