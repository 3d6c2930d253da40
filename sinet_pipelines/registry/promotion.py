"""Decides whether a chosen graph gets the champion alias."""

from sinet_pipelines.registry.version import Version

#: The reason on the page where no version has the alias although the newest one passed the gate.
ALIAS_REMOVED = (
    "no version has the alias champion: a person removed it, and the same graph does not get it again; set it on "
    "a version in MLflow's UI, or train a better model"
)


def may_be_promoted(chosen: str, *, champion: Version | None, last_promoted: Version | None, has_passed: bool) -> bool:
    """Whether the chosen graph gets the alias.

    A person who removes the alias does not want this model to serve, so the same graph does not get the alias again.
    Where nothing was ever promoted (a new registry, or one that was lost), the chosen graph gets the alias even if
    it has not passed.

    Args:
        chosen: SHA-256 of the graph.
        champion: the version with the alias; None where no version has it.
        last_promoted: the version that got the alias last, whether or not it still has it; None where none ever did.
        has_passed: whether the gate accepted the graph.
    """
    if champion is not None:
        return has_passed
    return last_promoted is None or (has_passed and last_promoted.sha256 != chosen)
