"""Moves damaged files and folders to `.set_aside` in the same folder; they are never deleted, so no row is lost."""

import logging
import secrets
from datetime import UTC, datetime
from pathlib import Path

ASIDE = ".set_aside"
DAMAGED = "damaged"  # why a table with a damaged log is moved

_log = logging.getLogger(__name__)


def set_aside(root: Path, name: str, *, why: str) -> Path | None:
    """Moves a file or folder to `<root>/.set_aside/` and returns its new place; None where there is none."""
    source = root / name
    if not source.exists():
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    target = root / ASIDE / f"{name.replace('/', '-')}-{why}-{stamp}-{secrets.token_hex(2)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except FileNotFoundError:
        return None  # another process moved it first
    _log.warning("%s is set aside as %s (%s)", source, target, why.replace("_", " "))
    return target


def is_set_aside(root: Path, name: str, *, why: str) -> bool:
    """Whether `set_aside` has moved a file or folder of this name for this reason."""
    folder = root / ASIDE
    return folder.is_dir() and any(one.name.startswith(f"{name}-{why}-") for one in folder.iterdir())
