"""Decides whether a chosen graph gets the champion alias."""

from sinet_pipelines.registry.versions import Version

#: Message: why no version of a model has the alias although its newest one passed.
TAKEN_AWAY = (
    "no version has the alias champion: a person removed it, and the same graph does not get it back; set it on "
    "a version in MLflow's UI, or train a model that wins"
)


def may_be_promoted(chosen: str, *, champion: Version | None, last_promoted: Version | None, has_passed: bool) -> bool:
    """Whether the chosen graph gets the alias.

    A person who removes the alias does not want this model to serve: the same graph does not get it back. In a registry
    that was lost there are no promotions, so the chosen graph serves, as a first model does.

    Args:
        chosen: SHA-256 of the graph.
        champion: the version with the alias.
        last_promoted: the version that got the alias last, with or without it now.
        has_passed: the gate's decision.
    """
    if champion is not None:
        return has_passed
    return last_promoted is None or (has_passed and last_promoted.sha256 != chosen)
