"""What a served graph may be asked, as text in its metadata: a server refuses other requests, whatever reads the graph.

`deployment/request_contract.py` reads it. Bounds are those of the contract of telemetry: a value outside them is a
broken sensor or another unit, and its row would never have reached the model.
"""

import json
from typing import Any

from sinet_pipelines.features.completeness import MIN_FIRST_SHARE, MIN_WINDOW_SHARE
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.schemas.features import FIRST_CYCLES, WINDOW_CYCLES
from sinet_pipelines.schemas.telemetry import IDENTITY, SENSORS, SETTINGS

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
