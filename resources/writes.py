"""What a step writes beside its table, recorded on its materialisation so that its loss is noticed: blobs, versions."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sinet_pipelines.registry.health import registry_faults
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.health import StorageFault

WRITES_ENTRY = "kept"
BLOBS_FOLDER = "blobs"  # of a home


@dataclass(frozen=True)
class StepWrites:
    """Blobs, refs and registered versions written by one step.

    Attributes:
        sizes: size in bytes by `<region>/<sha256>`.
        refs: SHA-256 by `<region>/<ref>`.
        versions: SHA-256 of models by `<name>/<version>` in MLflow's registry.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain data for the materialisation; empty where nothing was written."""
        return asdict(self) if self.sizes or self.refs or self.versions else {}

    def faults(self, home: Path) -> Iterator[StorageFault]:
        """What of them is missing, or has another size or target, in a home."""
        root = home / BLOBS_FOLDER
        yield from registry_faults(home, self.versions)
        for name, size in self.sizes.items():
            region, _, sha256 = name.partition("/")
            path = BlobStore(root / region).path(sha256)
            found = path.stat().st_size if path.is_file() else None
            if found is None:
                yield StorageFault(path, "the blob is missing")
            elif found != size:
                yield StorageFault(path, f"the blob has {found} bytes, recorded were {size}")
        for name, sha256 in self.refs.items():
            region, _, ref = name.partition("/")
            path = root / region / "refs" / ref
            try:
                target = path.read_text(errors="replace")
            except OSError:
                yield StorageFault(path, "the ref is missing")
                continue
            if target != sha256:
                yield StorageFault(path, f"the ref names {target[:16]!r}, recorded was {sha256[:16]!r}")


def recorded_writes(entry: Any) -> StepWrites:
    """The writes that a materialisation recorded."""
    said: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    return StepWrites(dict(said.get("sizes", {})), dict(said.get("refs", {})), dict(said.get("versions", {})))


@dataclass(frozen=True)
class RecordingBlobs(BlobStore):
    """A region's blobs as its own step writes them: each blob and ref is recorded.

    Attributes:
        region: whose blobs they are.
        writes: of the step.
    """

    region: str = field(kw_only=True)
    writes: StepWrites = field(kw_only=True)

    def put(self, content: bytes) -> str:
        """Keeps the bytes and records their name and size."""
        name = super().put(content)
        self.writes.sizes[f"{self.region}/{name}"] = len(content)
        return name

    def point(self, ref: str, name: str) -> None:
        """Makes the ref point at the blob and records it."""
        super().point(ref, name)
        self.writes.refs[f"{self.region}/{ref}"] = name
