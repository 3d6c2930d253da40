"""One thing that `sinet doctor` looked at."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """Whether it is as it should be, what was found, and what to do where it is not."""

    name: str
    ok: bool
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
