"""A small file of what is costly to find out again: never the truth, read if it can be and rewritten whole."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1  # another number makes every kept file one that is passed over


def read_cache(path: Path) -> dict[str, Any]:
    """What was kept; nothing where the file is missing, damaged, of another format or not to be read."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(kept, dict) or kept.get("format") != FORMAT or not isinstance(kept.get("entries"), dict):
        return {}
    return kept["entries"]


def write_cache(path: Path, entries: Mapping[str, Any]) -> None:
    """Keeps the entries in the place of what was kept; where that cannot be written, nothing is kept."""
    partial = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w") as file:
            json.dump({"format": FORMAT, "entries": entries}, file)
        Path(partial).replace(path)
    except OSError:
        if partial:
            Path(partial).unlink(missing_ok=True)
