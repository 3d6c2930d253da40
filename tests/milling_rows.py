"""Rows of a milling machine as sources and brokers send them, with numbers after those of simulated records."""

FIRST_RECORD = 90_000  # higher than those of the simulated records
ROW = {
    "product_type": "L",
    "air_temperature_k": 300.0,
    "process_temperature_k": 310,
    "rotational_speed_rpm": 1500,
    "torque_nm": 40.5,
    "tool_wear_min": 3,
}


def milling_row(number, *, recorded_at, **changes):
    """One valid row, by its number from 0.

    Args:
        number: of the row; its record has this number after `FIRST_RECORD`.
        recorded_at: its instant.
        changes: other values, by column.
    """
    named = {"record_id": FIRST_RECORD + number, "product_id": f"L{number}"}
    return {**named, **ROW, **changes, "recorded_at": recorded_at.isoformat()}
