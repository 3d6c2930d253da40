"""Switches off the usage reports that libraries send to their makers, before any of these libraries is imported.

`sinet_pipelines/__init__.py` calls this, so a process that imports anything of the library sends nothing, and its child
processes inherit the environment. ONNX Runtime reads its variable while it is imported: it queues events under
`~/.cache/Microsoft` from then on, and a later call of `disable_telemetry_events()` does not undo that.
"""

import os
from collections.abc import MutableMapping

SWITCHES = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",  # a common word for all; MLflow reads it
    "FEAST_USAGE": "False",
    "FLWR_TELEMETRY_ENABLED": "0",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off_usage_reports(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets every switch, also where another value stands: the platform promises that nothing is sent.

    >>> environment = {"GX_ANALYTICS_ENABLED": "true"}
    >>> switch_off_usage_reports(environment)
    >>> environment["GX_ANALYTICS_ENABLED"], environment["ORT_DISABLE_TELEMETRY"]
    ('false', '1')
    """
    environment.update(SWITCHES)
