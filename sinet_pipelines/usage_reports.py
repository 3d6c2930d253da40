"""Switches off the usage reports that libraries send to their vendors, before these libraries are imported.

`sinet_pipelines/__init__.py` calls this, so a process that imports anything of the library sends nothing. Its child
processes inherit the environment. ONNX Runtime reads its variable during import. Without it, it queues events under
`~/.cache/Microsoft`, and a later call of `disable_telemetry_events()` does not remove them.
"""

import os
from collections.abc import MutableMapping

SWITCHES = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",  # a convention of several libraries; MLflow reads it
    "FEAST_USAGE": "False",
    "FLWR_TELEMETRY_ENABLED": "0",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off_usage_reports(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets every switch and overwrites other values, because the platform guarantees that nothing is sent.

    >>> environment = {"GX_ANALYTICS_ENABLED": "true"}
    >>> switch_off_usage_reports(environment)
    >>> environment["GX_ANALYTICS_ENABLED"], environment["ORT_DISABLE_TELEMETRY"]
    ('false', '1')
    """
    environment.update(SWITCHES)
