"""Writes rendered files into their folder: atomically, never over an edited file, never outside of the folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sinet_pipelines.errors import UsageError

INDEX = ".rendered.json"  # the checksum of each written file, to detect edits
SCRIPT = ".sh"
SHOWN = 8


def write(files: Mapping[str, str], target: Path) -> list[str]:
    """Writes the files; returns the names of added, changed and removed files.

    A file of an earlier rendering that is no longer rendered is removed; files that were not rendered remain.

    Args:
        files: text by name in the folder, `east/network.yaml`.
        target: the folder; it is created if missing.

    Raises:
        UsageError: a file was edited or was not rendered, or a name is invalid; nothing is written.
    """
    for name in files:
        _require_inside(name, target)
    before = _index(target)
    gone = sorted(set(before) - set(files))
    edited = [name for name in sorted({*files, *gone}) if _is_foreign(target / name, before.get(name), files.get(name))]
    if edited:
        more = f" and {len(edited) - SHOWN} more" if len(edited) > SHOWN else ""
        raise UsageError(
            f"{target} has files that were changed by hand or come from elsewhere: {', '.join(edited[:SHOWN])}{more}; "
            "put changes into inventory.yaml or an overlay of your own, remove these files, and render again"
        )
    changed = [name for name, text in sorted(files.items()) if _read(target / name) != text]
    for name in changed:
        _replace(target / name, files[name])
    removed = [name for name in gone if _is_there(target / name)]
    for name in removed:
        (target / name).unlink()
    _replace(target / INDEX, json.dumps({name: _sum(text) for name, text in sorted(files.items())}, indent=2) + "\n")
    return sorted([*changed, *removed])


def rendered(target: Path) -> dict[str, str]:
    """Text by name of the existing files of the last rendering."""
    texts = {name: _read(target / name) for name in _index(target)}
    return {name: text for name, text in texts.items() if text is not None}


def _require_inside(name: str, target: Path) -> None:
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or name == INDEX:
        raise UsageError(f"{name!r} is no name of a file in {target}; give a name below it")
    path = target
    for part in ("", *parts):
        path = path / part
        if path.is_symlink():
            raise UsageError(f"{path} is a link, and what it leads to is not this folder's; remove it or name another")


def _index(target: Path) -> dict[str, str]:
    text = _read(target / INDEX)
    if text is None:
        return {}
    try:
        found = json.loads(text)
        names = {str(name): str(one) for name, one in found.items()}
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{target / INDEX} is damaged; remove it and the rendered files, and render again") from error
    for name in names:
        _require_inside(name, target)
    return names


def _is_foreign(path: Path, before: str | None, wanted: str | None) -> bool:
    """Whether a file has neither its last written content nor its new content."""
    found = _read(path)
    return found is not None and found != wanted and _sum(found) != before


def _read(path: Path) -> str | None:
    return path.read_bytes().decode(errors="replace") if _is_there(path) else None


def _is_there(path: Path) -> bool:
    if path.is_dir():
        raise UsageError(f"{path} is a folder, and a file is to stand there; remove it or name another folder")
    return path.exists()


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.chmod(0o755 if path.suffix == SCRIPT else 0o644)
    fresh.replace(path)
