"""Contracts of events: failures of history engines, and truth of live ones that arrives later."""

import pyarrow as pa

from sinet_pipelines.applications.turbofan.schemas.telemetry import INSTANT, LAST_CYCLE, MAX_NAME_CHARACTERS
from sinet_pipelines.schemas.contract import Column, Contract, DataClass

FAILURE_EVENTS = Contract(
    "failure_events",
    "One engine's failure: the cycle it was the last to fly.",
    DataClass.FEATURE,
    (
        Column("unit", pa.string(), "engine that failed", max_characters=MAX_NAME_CHARACTERS),
        Column("cycle", pa.int32(), "last cycle before failure; its remaining life is 0", "cycles", 1, LAST_CYCLE),
        Column("failed_at", INSTANT, "instant of that cycle, UTC"),
    ),
    key=("unit",),
)

TRUTH_EVENTS = Contract(
    "truth_events",
    "What a live engine's remaining useful life really was at one cycle, learnt afterwards.",
    DataClass.FEATURE,
    (
        Column("unit", pa.string(), "live engine", max_characters=MAX_NAME_CHARACTERS),
        Column("cycle", pa.int32(), "cycle the truth is about", "cycles", 1, LAST_CYCLE),
        Column("rul_cycles", pa.int32(), "cycles that were left after it", "cycles", 0, LAST_CYCLE),
        Column("known_at", INSTANT, "instant the truth became known, UTC"),
    ),
    key=("unit", "cycle"),
)
