"""A small cache file of results that are expensive to compute: optional to read, and rewritten completely."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1  # files with another number are ignored


def read_cache(path: Path) -> dict[str, Any]:
    """The cached entries; empty where the file is missing, damaged, unreadable or of another format."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(kept, dict) or kept.get("format") != FORMAT or not isinstance(kept.get("entries"), dict):
        return {}
    return kept["entries"]


def write_cache(path: Path, entries: Mapping[str, Any]) -> None:
    """Replaces the cached entries; does nothing where the file cannot be written."""
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
