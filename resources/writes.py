"""Records on a materialisation the blobs, refs and versions that its step wrote, so that their loss is noticed."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sinet_pipelines.registry.health import registry_faults
from sinet_pipelines.storage.blobs import BlobStore, blobs_of
from sinet_pipelines.storage.health import StorageFault
from sinet_pipelines.storage.layout import refs_root

WRITES_ENTRY = "kept"


@dataclass(frozen=True)
class StepWrites:
    """Blobs, refs and registered versions written by one step.

    Attributes:
        sizes: size in bytes by `<region>/<sha256>`.
        refs: SHA-256 by `<region>/<application>/<ref>`.
        versions: SHA-256 of models by `<name>/<version>` in MLflow's registry.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain data for the materialisation's metadata; empty where nothing was written."""
        return asdict(self) if self.sizes or self.refs or self.versions else {}

    def faults(self, home: Path) -> Iterator[StorageFault]:
        """Recorded writes that a home lacks, or that have another size or target there."""
        yield from registry_faults(home, self.versions)
        for name, size in self.sizes.items():
            region, _, sha256 = name.partition("/")
            blobs = blobs_of(home, region)
            path, found = Path(blobs.place, sha256[:2], sha256), blobs.size(sha256)
            if found is None:
                yield StorageFault(path, "the blob is missing")
            elif found != size:
                yield StorageFault(path, f"the blob has {found} bytes, recorded were {size}")
        for name, sha256 in self.refs.items():
            region, application, ref = name.split("/", 2)
            blobs = blobs_of(home, region, application)
            path, target = refs_root(Path(blobs.place), application) / ref, blobs.resolve(ref)
            if target is None:
                yield StorageFault(path, "the ref is missing")
            elif target != sha256:
                yield StorageFault(path, f"the ref names {target[:16]!r}, recorded was {sha256[:16]!r}")


def recorded_writes(entry: Any) -> StepWrites:
    """The writes that a materialisation records."""
    writes: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    return StepWrites(dict(writes.get("sizes", {})), dict(writes.get("refs", {})), dict(writes.get("versions", {})))


@dataclass(frozen=True)
class RecordingBlobs(BlobStore):
    """A region's blobs for its own step: each written blob and ref is recorded.

    Attributes:
        region: the region of the blobs.
        writes: of the step.
    """

    region: str = field(kw_only=True)
    writes: StepWrites = field(kw_only=True)

    def put(self, content: bytes) -> str:
        """Stores the bytes and records their name and size."""
        name = super().put(content)
        self.writes.sizes[f"{self.region}/{name}"] = len(content)
        return name

    def point(self, ref: str, name: str) -> None:
        """Points the ref at the blob and records it."""
        super().point(ref, name)
        self.writes.refs[f"{self.region}/{self.application}/{ref}"] = name
