"""One thing that `sinet doctor` looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Whether it is as it should be, what was found, and what to do where it is not."""

    name: str
    ok: bool
    found: str
    cure: str = ""
