"""The state of a source: what landed of it, in one JSON file of the region's storage, replaced atomically.

It is `landing/<application>/_pulled/<source>.json`, where landing zones ignore it. The keys of files that are about to
be written are saved first (`pending`), the state after them last. What an interrupted pull left is in `pending`; the
next one removes these files and reads their rows again. Two writers of one state: the second one fails. While files are
pending, they belong to the home that wrote them; another one with the same storage takes over only after a while.
"""

import json
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sinet_pipelines.errors import BusyError, ConflictError, StorageError
from sinet_pipelines.ingestion.connectors.source import Part
from sinet_pipelines.storage.layout import LANDING
from sinet_pipelines.storage.objects import Objects

FOLDER = "_pulled"
LEASE_S = 900  # after which a pull of another machine that saved nothing counts as dead; it renews this with each save


def source_id(name: str) -> str:
    """16 hex digits that identify a source in names of files."""
    return blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()


class Taken:
    """What landed of one source in one region.

    Args:
        objects: the root of the region.
        application: name of the application.
        source: name of the source.
        home: the home; no other process pulls this source into it.

    Raises:
        StorageError: the state is damaged, or the region's storage cannot be read.
    """

    def __init__(self, objects: Objects, application: str, source: str, *, home: Path) -> None:
        self._objects = objects
        self._place = f"{home} at {socket.gethostname()}"
        self.key = f"{LANDING}/{application}/{FOLDER}/{source_id(source)}.json"
        found = objects.get(self.key)
        self._tag = None if found is None else found.tag
        self._state: dict[str, Any] = {"source": source}
        self._present: frozenset[str] | None = None
        if found is not None:
            self._state = _parsed(found.content, f"{self.key} in {objects.root}")
        self._known = frozenset(self._state.get("drops", {}))  # contents that landed before this pull

    @property
    def position(self) -> Mapping[str, Any]:
        """The position in a table, empty where nothing landed."""
        return self._state.get("position") or {}

    @property
    def pending(self) -> list[str]:
        """The keys of files that are written and not confirmed, or withdrawn and not removed."""
        return list(self._state.get("pending", ()))

    def list_files(self, names: Iterable[str]) -> None:
        """Keeps the names of the files that the source has now; `withdraw` needs them."""
        self._present = frozenset(names)

    def is_same(self, name: str, version: str) -> bool:
        """Whether this version of a file was read before, with rows or without."""
        known = [self._part(kind, name).get("version") for kind in ("files", "refused")]
        return version != "" and version in known

    def version(self, name: str) -> str:
        """The version of a file that was read last, with rows or without; empty if it is not known."""
        return str(self._part("refused", name).get("version") or self._part("files", name).get("version") or "")

    def has(self, digest: str) -> bool:
        """Whether a file of this content landed, under any name."""
        return digest in self._state.get("drops", {})

    def is_refused(self, name: str, digest: str) -> bool:
        """Whether this file with this content was found to be unreadable."""
        return self._part("refused", name).get("digest") == digest

    def claim(self) -> None:
        """Takes over the pending files of an interrupted pull, before they are removed.

        Raises:
            BusyError: another machine wrote them, and may still run.
        """
        place, until = (self._state.get("lease") or ["", 0])[:2]
        if place not in ("", self._place) and time.time() < until:
            raise BusyError(
                f"another `sinet pull` takes rows from {self._state['source']} (home {place}); wait for it, or until "
                f"{time.strftime('%H:%M', time.gmtime(until))} UTC if it was killed"
            )
        self._save({**self._state, "pending": self.pending})

    def plan(self, keys: Iterable[str]) -> None:
        """Saves that these files are about to be written."""
        self._save({**self._state, "pending": [*self.pending, *keys]})

    def confirm(
        self, landed: Iterable[tuple[Part, list[str]]], refused: Iterable[Part], incomplete: Iterable[str] = ()
    ) -> None:
        """Saves that parts landed with the drops of these keys, that others are unreadable, and what stays pending."""
        state = {**self._state, "pending": list(incomplete)}
        files, drops, bad = (dict(state.get(name, {})) for name in ("files", "drops", "refused"))
        replaced = set(state.get("replaced", ()))
        for part, keys in landed:
            if part.position is not None:
                state["position"] = dict(part.position)
                continue
            is_other = part.name in files and files[part.name]["digest"] != part.digest
            if is_other and part.digest not in self._known:  # else another file was moved there, as rotation does
                replaced.add(files[part.name]["digest"])
            files[part.name] = {"version": part.version, "digest": part.digest}
            drops.setdefault(part.digest, keys)
            bad.pop(part.name, None)
        for part in refused:  # the rows of its former content stay
            bad[part.name] = {"version": part.version, "digest": part.digest}
        self._save({**state, "files": files, "drops": drops, "refused": bad, "replaced": sorted(replaced)})

    def withdraw(self) -> list[str]:
        """Saves that the drops of replaced files are to be removed; returns their keys with all that is pending.

        A file that is removed keeps its rows, also when another one is moved to its name. But if it was renamed, and
        the content under the new name replaced, its former name keeps nothing.
        """
        files, drops, replaced = (self._state.get(name, {}) for name in ("files", "drops", "replaced"))
        here = files if self._present is None else self._present
        used = {one["digest"] for name, one in files.items() if name in here or one["digest"] not in replaced}
        ended = set(replaced) - used
        gone = [key for digest, keys in drops.items() if digest in ended for key in keys]
        if gone or replaced:
            kept = {digest: keys for digest, keys in drops.items() if digest not in ended}
            left = {name: one for name, one in files.items() if one["digest"] not in ended}
            pending = [*self.pending, *gone]
            self._save({**self._state, "files": left, "drops": kept, "pending": pending, "replaced": []})
        return self.pending

    def removed(self) -> None:
        """Saves that the files of `pending` are removed."""
        if self.pending:
            self._save({**self._state, "pending": []})

    def _part(self, kind: str, name: str) -> Mapping[str, Any]:
        return self._state.get(kind, {}).get(name, {})

    def _save(self, state: dict[str, Any]) -> None:
        state["lease"] = [self._place, int(time.time()) + LEASE_S] if state.get("pending") else None
        state["save"] = secrets.token_hex(8)  # equal states would have equal tags, and the other writer go unnoticed
        content = json.dumps(state, separators=(",", ":")).encode()
        busy = BusyError(
            f"another `sinet pull` takes rows from {state['source']}: this one lands nothing more; let one of them run"
        )
        try:
            if self._tag is not None:
                self._tag = self._objects.swap(self.key, content, tag=self._tag)
            elif self._objects.put_if_absent(self.key, content):
                found = self._objects.get(self.key)
                if found is None or found.content != content:
                    raise busy
                self._tag = found.tag
            else:
                raise busy
        except ConflictError as error:
            raise busy from error
        self._state = state


def _parsed(content: bytes, shown: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
        if isinstance(found["source"], str):
            for kind in ("files", "refused"):
                _ = [(one["version"], one["digest"]) for one in found.get(kind, {}).values()]
            _ = [list(keys) for keys in found.get("drops", {}).values()], [*found.get("replaced", ())]
            return dict(found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise StorageError(
        f"{shown} is no state of a source; put its old text back, or remove it: then the next `sinet pull` reads the "
        "source again, and validation drops the exact copies"
    )
