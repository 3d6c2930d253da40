"""The result of one check of `sinet doctor`."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """What was checked, whether it is right, what was found, and the cure where it is wrong.

    Attributes:
        name: what was checked.
        ok: whether it is right; None where that cannot be read from here, which is no fault.
        found: what was found.
        cure: what to do; empty where there is nothing to do.
    """

    name: str
    ok: bool | None
    found: str
    cure: str = ""

    def at(self, home: Path | None) -> "Finding":
        """The finding with commands that name this home; without a home the commands mean the one last run."""
        if home is None:
            return self
        named = f"`sinet run --home {shlex.quote(str(home))}`"
        return replace(
            self, found=self.found.replace("`sinet run`", named), cure=self.cure.replace("`sinet run`", named)
        )
