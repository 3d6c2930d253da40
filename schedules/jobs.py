"""Named selections of assets for schedules, from what assets declare."""

import dagster as dg

from resources.dagster_private import BaseAssetGraph
from resources.keys import CADENCE_TAG, Cadence, name_of

REFITTED = (Cadence.REFIT,)
TRAINED = (Cadence.TRAINING, Cadence.REFIT)


def training_selection() -> dg.AssetSelection:
    """The assets of a training: those that declare it, and those between them (features scaled by refitted regimes)."""
    refit = dg.AssetSelection.tag(CADENCE_TAG, Cadence.REFIT)
    trained = refit | dg.AssetSelection.tag(CADENCE_TAG, Cadence.TRAINING)
    return trained | (refit.downstream() & trained.upstream())


def training_keys(graph: BaseAssetGraph, application: str | None = None) -> frozenset[dg.AssetKey]:
    """The keys of the assets of a training.

    Args:
        graph: of the assets.
        application: the application; None for all.
    """
    keys = training_selection().resolve(graph)
    return frozenset(key for key in keys if application in (None, name_of(key).application))
