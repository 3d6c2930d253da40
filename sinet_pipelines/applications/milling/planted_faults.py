"""Plants faults in simulated records, so that the first run shows quarantine, a failed check and drift.

Each fault is written into the record of the home; real data never change.
"""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import polars as pl

from sinet_pipelines.applications.milling.layout import DayRows
from sinet_pipelines.applications.milling.production import PlantedFault, Production

FAILED_DAY = 17  # one region measures in degrees Celsius all day: its contract fails, those of other regions pass
COPIES_DAY = 12  # part of the day is dropped a second time
DRIFT_DAY = 19  # after the reference of drift (days 5 to 14), with enough days left to detect it
DRIFT_NM = 5.0  # half a standard deviation of the torque
FAILED_COLUMN, DRIFT_COLUMN = "process_temperature_k", "torque_nm"
_ZERO_CELSIUS_K = 273.15
_LEAST_ROWS = 40  # of a day with a fault in one row: one bad row must not fail the day
_COPIED_ROWS = 15

_Places = dict[tuple[str, date], DayRows]


def plant_faults(days: Sequence[DayRows], production: Production) -> tuple[list[DayRows], tuple[PlantedFault, ...]]:
    """The days with planted faults, and the list of these faults.

    A fault whose day has fewer than 40 rows in its region, or none at all, is left out.

    Args:
        days: simulated records by region and day.
        production: their record; its seed chooses the rows.
    """
    rng = np.random.default_rng(production.seed)
    planted: list[PlantedFault] = []
    by_place = {(part.region, part.day): part for part in days}
    for number, day, kind, column in _SCHEDULE:
        place = _place(production, number, day)
        part = by_place.get(place)
        if part and part.rows.height >= _LEAST_ROWS:
            chosen = int(rng.integers(part.rows.height))
            what, set_aside, plant = _KINDS[kind]
            hit = pl.int_range(pl.len()) == chosen
            by_place[place] = DayRows(part.region, part.day, plant(part.rows, hit, column))
            planted.append(PlantedFault(kind, part.region, part.day, column, set_aside, what))
    planted += _shift_unit(by_place, production)
    planted += _drift(by_place, production)
    copies = _copies(by_place, production)
    planted += [fault for _, fault in copies]
    return [*by_place.values(), *(part for part, _ in copies)], tuple(planted)


def _place(production: Production, number: int, day: int) -> tuple[str, date]:
    return production.regions[number % len(production.regions)], production.day(day)


def _replace(rows: pl.DataFrame, hit: pl.Expr, column: str, value: pl.Expr) -> pl.DataFrame:
    return rows.with_columns(pl.when(hit).then(value).otherwise(pl.col(column)).alias(column))


def _out_of_range(rows: pl.DataFrame, hit: pl.Expr, column: str) -> pl.DataFrame:
    return _replace(rows, hit, column, pl.lit(9999.0))


def _missing(rows: pl.DataFrame, hit: pl.Expr, column: str) -> pl.DataFrame:
    return _replace(rows, hit, column, pl.lit(None, pl.Float64))


def _text(rows: pl.DataFrame, hit: pl.Expr, column: str) -> pl.DataFrame:
    return _replace(rows.with_columns(pl.col(column).cast(pl.String)), hit, column, pl.lit("ERR"))


def _unknown_type(rows: pl.DataFrame, hit: pl.Expr, column: str) -> pl.DataFrame:
    return _replace(rows, hit, column, pl.lit("X"))


def _conflicting(rows: pl.DataFrame, hit: pl.Expr, column: str) -> pl.DataFrame:
    return pl.concat([rows, rows.filter(hit).with_columns(pl.col(column) * 1.01)])


#: Description, rows that go to quarantine (of two that conflict, both), and how the fault is planted.
_KINDS: dict[str, tuple[str, int, Callable[[pl.DataFrame, pl.Expr, str], pl.DataFrame]]] = {
    "out_of_range": ("a broken sensor reads 9999", 1, _out_of_range),
    "missing_value": ("a reading is missing", 1, _missing),
    "text_in_number": ("a logger wrote ERR for a number", 1, _text),
    "unknown_type": ("a product has a type that does not exist", 1, _unknown_type),
    "conflicting_record": ("a product came twice with two readings", 2, _conflicting),
}

#: Index of the region in the record, day, kind, column; none of these days is the failed one.
_SCHEDULE: tuple[tuple[int, int, str, str], ...] = (
    (0, 4, "out_of_range", "rotational_speed_rpm"),
    (1, 6, "missing_value", "torque_nm"),
    (2, 8, "conflicting_record", "torque_nm"),
    (1, 9, "text_in_number", "air_temperature_k"),
    (0, 11, "unknown_type", "product_type"),
    (2, 13, "missing_value", "tool_wear_min"),
)


def _shift_unit(by_place: _Places, production: Production) -> list[PlantedFault]:
    place = _place(production, 1, FAILED_DAY)
    part = by_place.get(place)
    if part is None:
        return []
    celsius = (pl.col(FAILED_COLUMN) - _ZERO_CELSIUS_K).round(2)
    by_place[place] = DayRows(part.region, part.day, part.rows.with_columns(celsius))
    what = "all day in degrees Celsius, and the column names no unit"
    return [PlantedFault("other_unit", part.region, part.day, FAILED_COLUMN, part.rows.height, what)]


def _drift(by_place: _Places, production: Production) -> list[PlantedFault]:
    region, first = production.regions[-1], production.day(DRIFT_DAY)
    drifting = {place: part for place, part in by_place.items() if place[0] == region and place[1] >= first}
    for place, part in drifting.items():
        rows = part.rows.with_columns((pl.col(DRIFT_COLUMN) + DRIFT_NM).round(1))
        by_place[place] = DayRows(part.region, part.day, rows)
    count = sum(part.rows.height for part in drifting.values())
    what = f"a sensor reads {DRIFT_NM:g} Nm too high from this day on"
    return [PlantedFault("drift", region, first, DRIFT_COLUMN, count, what)] if count else []


def _copies(by_place: _Places, production: Production) -> list[tuple[DayRows, PlantedFault]]:
    part = by_place.get(_place(production, 0, COPIES_DAY))
    if part is None:
        return []
    again = DayRows(part.region, part.day, part.rows.head(_COPIED_ROWS))
    what = "the first rows of the day came again in a second drop"
    return [(again, PlantedFault("exact_copies", part.region, part.day, "", again.rows.height, what))]
