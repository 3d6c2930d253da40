"""Whether an endpoint serves the version that its alias names in the registry, and if not, what is to be done."""

from dataclasses import dataclass
from pathlib import Path

from sinet_pipelines.deployment.endpoint import current, endpoint_folders
from sinet_pipelines.registry.alias import named_by
from sinet_pipelines.registry.location import relocate


@dataclass(frozen=True)
class Following:
    """An endpoint held against the registry.

    Attributes:
        content: what is served and what the alias names, as one word that changes with either.
        is_behind: whether another version is to be served, and can be.
        reason: what is served beside what the alias names; empty where they agree.
    """

    content: str
    is_behind: bool
    reason: str


def follow(home: Path) -> list[Following]:
    """Every living endpoint that serves a champion (its name is its model's), held against the alias.

    An endpoint without a living server is not among them: whoever starts it again asks the registry.

    Raises:
        StorageError: MLflow's database cannot be read.
    """
    relocate(home)
    found = []
    for folder in endpoint_folders(home):
        served = current(folder)
        if served is None or served.name != served.model:
            continue
        named = named_by(home, served.model)
        content = f"{served.model}-{served.token}-{named.version}-{named.sha256}"
        agrees = str(named.version) == served.version and served.sha256.startswith(named.sha256)
        if named.reason:
            reason = f"{served.model}: version {served.version} is served on, although {named.reason}"
            found.append(Following(content, is_behind=False, reason="" if agrees and named.sha256 else reason))
        elif agrees:
            found.append(Following(content, is_behind=False, reason=""))
        else:
            moved = f"the alias champion names version {named.version}, served is version {served.version}"
            found.append(Following(content, is_behind=True, reason=f"{served.model}: {moved}"))
    return found
