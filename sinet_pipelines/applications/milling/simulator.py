"""Simulates the process records of a milling machine with the published generating rules of AI4I 2020.

After S. Matzka, "Explainable Artificial Intelligence for Predictive Maintenance Applications", AI4I 2020, section II.
Where the published table differs from the text, the table is followed, and the difference is stated at the number.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sinet_pipelines.applications.milling.physics import (
    Floats,
    heat_dissipation_margin,
    overstrain_margin,
    power_margin,
    power_w,
    temperature_difference_k,
)
from sinet_pipelines.applications.milling.schemas import PROCESS_RECORDS, PRODUCT_TYPES
from sinet_pipelines.errors import SourceError

RECORDS = 10_000  # as many as the published table has

_TYPE_SHARES = (0.6, 0.3, 0.1)  # L, M, H as counted in the table; the text has 50, 30 and 20 %
_WEAR_MIN = {"L": 2.0, "M": 3.0, "H": 5.0}  # tool wear that a product of each type adds
_AIR_K, _AIR_SPREAD_K = 300.0, 2.0  # a random walk, normalised to this mean and standard deviation
_HEATING_K, _HEATING_SPREAD_K = 10.0, 1.0  # of the process over the air: a second random walk
_TORQUE_NM, _TORQUE_SPREAD_NM = 40.0, 10.0
_LEAST_TORQUE_NM = 3.8  # the least of the table; the text has "no negative values"
# The text derives the speed from a power of 2860 W; the table has 1000 rpm plus the speed for 2094 W (20,000 rpm Nm
# over the torque), with a spread of 50 rpm; below 12.25 Nm, where the two curves cross, a line up to 3000 rpm applies.
_BASE_SPEED_RPM, _SPEED_RPM_NM, _SPEED_SPREAD_RPM = 1000.0, 20_000.0, 50.0
_LOW_TORQUE_NM, _IDLE_SPEED_RPM, _SPEED_LOSS_RPM_PER_NM = 12.25, 3000.0, 30.0
# In the text a tool's life is uniform between 200 and 240 min; in the table tools end at 216 min with this spread.
_TOOL_LIFE_MIN, _TOOL_LIFE_SPREAD_MIN = 214.5, 10.0
_FAILING_SHARE = 51 / 120  # of tools; the others are replaced in time
_RANDOM_SHARE = 0.0019  # of products, as in the table (the text has 0.1 %); the table counts none of them as a failure
_UNEXPLAINED_SHARE = 0.0009  # of products: failures without a mode, nine in the table


@dataclass(frozen=True)
class _Tools:
    """The state of the tool at each product.

    Attributes:
        wear_B: (B,) time in use in minutes.
        failed_B: (B,) whether the tool failed at this product.
    """

    wear_B: Floats
    failed_B: NDArray[np.bool_]


def simulate_records(*, records: int = RECORDS, seed: int = 0) -> pl.DataFrame:
    """A table of the contract `PROCESS_RECORDS`. Equal arguments return an equal table.

    Args:
        records: number of products, 2 or more.
        seed: seed of all random numbers, 0 or more.

    Raises:
        SourceError: a number that is not allowed.
    """
    if records < 2 or seed < 0:
        raise SourceError(f"{records} records with seed {seed} (allowed: 2 or more records, a seed from 0)")
    rng = np.random.default_rng(seed)
    kind = rng.choice(np.array(PRODUCT_TYPES), size=records, p=_TYPE_SHARES)
    air_k = np.round(_AIR_K + _AIR_SPREAD_K * _walk(records, rng), 1)
    process_k = np.round(air_k + _HEATING_K + _HEATING_SPREAD_K * _walk(records, rng), 1)
    torque_nm = _torque_nm(records, rng)
    speed_rpm = _speed_rpm(torque_nm, rng)
    tools = _use_tools(kind, rng)
    inputs = {
        "product_type": kind,
        "air_temperature_k": air_k,
        "process_temperature_k": process_k,
        "rotational_speed_rpm": speed_rpm,
        "torque_nm": torque_nm,
        "tool_wear_min": tools.wear_B,
    }
    number = np.arange(1, records + 1)
    identity = {"record_id": number, "product_id": np.char.add(kind, (10_000 + number).astype(np.str_))}
    outcome = _outcome(inputs, tools.failed_B, rng)
    schema = pl.DataFrame(PROCESS_RECORDS.schema.empty_table()).schema
    return pl.DataFrame(identity | inputs | outcome).cast(dict(schema)).select(schema.names())  # type: ignore[arg-type]


def _walk(steps: int, rng: np.random.Generator) -> Floats:
    """(steps,) a random walk, normalised to mean 0 and standard deviation 1."""
    walk = np.cumsum(rng.normal(0.0, 1.0, steps))
    return (walk - walk.mean()) / walk.std()


def _torque_nm(records: int, rng: np.random.Generator) -> Floats:
    drawn = rng.normal(_TORQUE_NM, _TORQUE_SPREAD_NM, records)
    return np.asarray(np.round(np.maximum(drawn, _LEAST_TORQUE_NM), 1), dtype=np.float64)


def _speed_rpm(torque_nm: Floats, rng: np.random.Generator) -> Floats:
    noise = rng.normal(0.0, _SPEED_SPREAD_RPM, len(torque_nm))
    loaded = _BASE_SPEED_RPM + _SPEED_RPM_NM / torque_nm + noise
    idling = _IDLE_SPEED_RPM - _SPEED_LOSS_RPM_PER_NM * torque_nm
    return np.asarray(np.round(np.where(torque_nm < _LOW_TORQUE_NM, idling, loaded)), dtype=np.float64)


def _use_tools(kind: NDArray[np.str_], rng: np.random.Generator) -> _Tools:
    """Simulates tools that wear with each product; each tool fails or is replaced at its own time."""
    wear_B, failed_B = np.zeros(len(kind)), np.zeros(len(kind), dtype=bool)
    wear, end = 0.0, rng.normal(_TOOL_LIFE_MIN, _TOOL_LIFE_SPREAD_MIN)
    for place, name in enumerate(kind):
        wear_B[place] = wear
        if wear >= end:
            failed_B[place] = rng.random() < _FAILING_SHARE
            wear, end = 0.0, rng.normal(_TOOL_LIFE_MIN, _TOOL_LIFE_SPREAD_MIN)
        else:
            wear += _WEAR_MIN[str(name)]
    return _Tools(wear_B, failed_B)


def _outcome(inputs: dict[str, NDArray], worn_B: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, NDArray]:
    """Failure modes and label of each product."""
    speed_rpm, torque_nm, wear_min = (inputs[name] for name in ("rotational_speed_rpm", "torque_nm", "tool_wear_min"))
    difference_k = temperature_difference_k(inputs["process_temperature_k"], inputs["air_temperature_k"])
    modes = {
        "tool_wear_failure": worn_B,
        "heat_dissipation_failure": heat_dissipation_margin(difference_k, speed_rpm) > 0.0,
        "power_failure": power_margin(power_w(torque_nm, speed_rpm)) > 0.0,
        "overstrain_failure": overstrain_margin(wear_min * torque_nm, inputs["product_type"]) > 0.0,
    }
    unexplained = rng.random(len(worn_B)) < _UNEXPLAINED_SHARE
    failed = np.logical_or.reduce([*modes.values(), unexplained])
    return {"machine_failure": failed, **modes, "random_failure": rng.random(len(worn_B)) < _RANDOM_SHARE}
