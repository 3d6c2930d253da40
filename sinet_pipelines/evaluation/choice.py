"""Chooses among candidates by their out-of-fold error alone: no row of the evaluation has a say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sinet_pipelines.errors import ContractError


@dataclass(frozen=True)
class Choice:
    """The candidate that challenges the champion.

    Attributes:
        name: of its family.
        reason: in one sentence, with every candidate's error.
    """

    name: str
    reason: str


def choose(rmse_by_name: Mapping[str, float]) -> Choice:
    """The candidate with the least error; the first named of equals. One whose error is no number is passed over.

    Args:
        rmse_by_name: out-of-fold RMSE in cycles by name.

    Raises:
        ContractError: when no candidate's error is a number.

    >>> choose({"trees": 11.0, "network": 10.0}).reason
    'network has the least out-of-fold RMSE: network 10.00, trees 11.00 cycles'
    """
    sound = {name: rmse for name, rmse in rmse_by_name.items() if np.isfinite(rmse)}
    if not sound:
        raise ContractError(
            f"none of {len(rmse_by_name)} candidates has an error that is a number (at least one must); train again"
        )
    ranked = sorted(sound, key=lambda name: sound[name])
    listed = ", ".join(f"{name} {sound[name]:.2f}" for name in ranked)
    return Choice(ranked[0], f"{ranked[0]} has the least out-of-fold RMSE: {listed} cycles")
