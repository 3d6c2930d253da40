"""Column lineage of the turbofan tables: which channels of the telemetry each column is computed from."""

import dagster as dg

from assets.framework.lineage import Sources, copied, derived
from sinet_pipelines.applications.turbofan.schemas.features import (
    FEATURE_NAMES,
    LIVE_SEQUENCES,
    SCALED_SENSORS,
    WINDOW_FEATURES,
)
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SETTING_NAMES, VALIDATED_TELEMETRY

AGE = "age_cycles"


def features_of(telemetry: dg.AssetKey) -> Sources:
    """A feature is made from its sensor, from the settings that determine the operating regime, and from the cycle."""
    sources = dict(copied(WINDOW_FEATURES, of=VALIDATED_TELEMETRY, keys=[telemetry]))
    for name in FEATURE_NAMES:
        origins = ("cycle",) if name == AGE else (name.split("_z_")[0], *SETTING_NAMES, "cycle")
        sources |= derived([name], origins, keys=[telemetry])
    return {**sources, **derived(["window_cycles_present"], ["cycle"], keys=[telemetry])}


def cells_of(telemetry: dg.AssetKey) -> Sources:
    """A cell's mean and spread of a channel are made from that channel, of the rows with the cell's settings."""
    sources = derived(["row_count"], SETTING_NAMES, keys=[telemetry])
    for name in CHANNELS:
        sources = {**sources, **derived([f"{name}_mean", f"{name}_m2"], [name], keys=[telemetry])}
    return sources


def scaled_of(telemetry: dg.AssetKey) -> Sources:
    """A scaled sensor is made from its sensor and from the settings that determine the operating regime."""
    sources: Sources = {}
    for name in SCALED_SENSORS:
        sources = {**sources, **derived([name], (name.removesuffix("_z"), *SETTING_NAMES), keys=[telemetry])}
    return sources


def sequences_of(telemetry: dg.AssetKey) -> Sources:
    """A window contains all channels, ordered by cycle."""
    copies = copied(LIVE_SEQUENCES, of=VALIDATED_TELEMETRY, keys=[telemetry])
    return {**copies, **derived(["window", "first_cycles"], [*CHANNELS, "cycle"], keys=[telemetry])}
