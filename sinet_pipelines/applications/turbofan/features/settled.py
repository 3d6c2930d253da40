"""The rows of telemetry for features: each cycle of an engine once."""

import polars as pl

from sinet_pipelines.applications.turbofan.schemas.telemetry import VALIDATED_TELEMETRY
from sinet_pipelines.validation import doubt


def settled(telemetry: pl.DataFrame) -> pl.DataFrame:
    """The rows whose engine and cycle occur exactly once, in their order.

    Args:
        telemetry: (n, columns) with `unit` and `cycle`.
    """
    return doubt.settled(telemetry, key=VALIDATED_TELEMETRY.key)
