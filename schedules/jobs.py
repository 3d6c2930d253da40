"""Selections with a name: what schedules and sensors start, by the groups of the walk."""

from sinet_pipelines.regions import REGIONS

APPLICATION = "predictive_maintenance"

#: Refit, retrain, judge and register: what the weekly schedule starts.
TRAINING_NAMES = (
    "operating_regimes",
    "training_set",
    "gradient_boosting",
    "evaluation_set",
    "evaluation",
    "onnx_model",
    "registered_model",
)
TRAINING_REGIONAL_NAMES = ("regime_cells", "window_features", "evaluation_sequences")


def training_keys() -> list[list[str]]:
    """Paths of the assets that a training makes anew, the features of all days among them."""
    regional = [[region.name, APPLICATION, name] for region in REGIONS for name in TRAINING_REGIONAL_NAMES]
    return regional + [[APPLICATION, name] for name in TRAINING_NAMES]
