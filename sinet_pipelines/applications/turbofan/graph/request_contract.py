"""The contract of requests to a served graph, as text in its metadata: a server rejects other requests.

`deployment/request_contract.py` reads it. The bounds are those of the telemetry contract: a value outside is a broken
sensor or another unit, and validation would have rejected its row.
"""

import json
from typing import Any

from sinet_pipelines.applications.turbofan.features.completeness import MIN_FIRST_SHARE, MIN_WINDOW_SHARE
from sinet_pipelines.applications.turbofan.schemas.features import FIRST_CYCLES, WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import IDENTITY, SENSORS, SETTINGS
from sinet_pipelines.schemas.contract import Column

METADATA_KEY = "request_contract"


def request_contract() -> str:
    """The contract of the inputs `window`, `first_cycles` and `cycle`, as JSON; equal on every machine."""
    channels = [_bounds(column) for column in (*SETTINGS, *SENSORS)]
    (cycle,) = (column for column in IDENTITY if column.name == "cycle")
    contract = {
        "columns": {
            "window": channels,
            "first_cycles": channels,
            "cycle": [_bounds(cycle) | {"whole": True, "required": True}],
        },
        "needs": [
            {
                "input": "first_cycles",
                "share": MIN_FIRST_SHARE,
                "by": "cycle",
                "ends_with_it": False,
                "cure": f"send the engine's cycles 1 to {FIRST_CYCLES}, against which its wear is measured",
            },
            {
                "input": "window",
                "share": MIN_WINDOW_SHARE,
                "by": "cycle",
                "ends_with_it": True,
                "cure": f"send the engine's last {WINDOW_CYCLES} cycles",
            },
        ],
    }
    return json.dumps(contract, sort_keys=True)


def _bounds(column: Column) -> dict[str, Any]:
    return {"name": column.name, "minimum": column.minimum, "maximum": column.maximum, "unit": column.unit}
