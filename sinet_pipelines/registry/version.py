"""One version of a model, as it is read from MLflow, whose users may edit its tags."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sinet_pipelines.registry.alias import SOURCE

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL_FILE = "model.onnx"
SHA_TAG = "sha256"
FAMILY_TAG = "family"
FILE_TAG = "file"


@dataclass(frozen=True)
class Version:
    """One content of a model.

    Attributes:
        name: name of the registered model.
        version: its number, from 1.
        sha256: SHA-256 of its file: 64 hex digits, or 16 where a user edited its tag; empty where it was registered
            by hand.
        family: kind of model: `gradient_boosting`; empty where it was registered by hand.
        run_id: id of the run that made it.
        aliases: its aliases in alphabetical order.
        tags: its tags.
        created_at: time of its registration, UTC.
        source: URI of the folder with its file; another URI where it was registered by hand.
    """

    name: str
    version: int
    sha256: str
    family: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created_at: datetime
    source: str = ""


def read_version(version: "ModelVersion", aliases: Mapping[str, int]) -> Version:
    """The version as MLflow has it.

    Args:
        version: of MLflow.
        aliases: the version number by alias, of the model.
    """
    number = int(version.version)
    return Version(
        name=version.name,
        version=number,
        sha256=_sha256_of(version),
        family=version.tags.get(FAMILY_TAG, ""),
        run_id=version.run_id,
        aliases=tuple(sorted(alias for alias, holder in aliases.items() if holder == number)),
        tags=dict(version.tags),
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        source=version.source or "",
    )


def _sha256_of(version: "ModelVersion") -> str:
    """The SHA-256 in the version's tag; where a user edited the tag, the 16 digits in the name of its folder."""
    tag, folder = version.tags.get(SHA_TAG, ""), SOURCE.search(version.source or "")
    return tag if folder is None or tag.startswith(folder["sha256"]) else folder["sha256"]


def is_of(version: "ModelVersion", sha256: str) -> bool:
    """Whether a version's file has this SHA-256, also where users have edited its tags."""
    folder = SOURCE.search(version.source or "")
    return folder["sha256"] == sha256[:16] if folder else version.tags.get(SHA_TAG) == sha256
