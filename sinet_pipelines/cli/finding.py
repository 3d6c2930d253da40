"""One thing that `sinet doctor` looked at."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """Whether it is as it should be, what was found, and what to do where it is not.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be; None where that cannot be seen from here, which is no fault.
        found: what is there.
        cure: what to do; empty where nothing is to be done.
    """

    name: str
    ok: bool | None
    found: str
    cure: str = ""

    def at(self, home: Path | None) -> "Finding":
        """The finding with commands that name the home that was named; without one they mean the one last run."""
        if home is None:
            return self
        named = f"`sinet run --home {shlex.quote(str(home))}`"
        return replace(
            self, found=self.found.replace("`sinet run`", named), cure=self.cure.replace("`sinet run`", named)
        )
