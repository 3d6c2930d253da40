"""Selections with a name: what schedules start, by the names of the assets."""

import dagster as dg

from resources.keys import everywhere, global_key
from sinet_pipelines.models.families import CANDIDATE_NAMES

#: Refit, retrain, judge and register: what the weekly training makes anew, the features of all days among it.
TRAINING_NAMES = (
    "operating_regimes",
    "training_set",
    *CANDIDATE_NAMES,
    "evaluation_set",
    "evaluation",
    "onnx_models",
    "int8_model",
    "served_graph",
    "registered_model",
    "spiking_challenger",
    "spiking_verdict",
    "model_card",
)
TRAINING_REGIONAL_NAMES = (
    "regime_cells",
    "window_features",
    "training_sequences",
    "evaluation_sequences",
    "calibration_sequences",
)


def training_keys() -> frozenset[dg.AssetKey]:
    """The assets that a training makes anew."""
    regional = (key for name in TRAINING_REGIONAL_NAMES for key in everywhere(name))
    return frozenset([*regional, *(global_key(name) for name in TRAINING_NAMES)])
