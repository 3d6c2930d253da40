"""Plants faults in a simulated fleet's drops, so that the first run shows quarantine, a failed check and drift.

Each fault is written into the fleet's record; real data never change.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import numpy as np
import polars as pl

from sinet_pipelines.applications.turbofan.fleet import Fleet, PlantedFault
from sinet_pipelines.applications.turbofan.fleet_layout import DayRows

FAILED_DAY = 17  # WEST measures in kelvin all day: its contract fails, those of other regions pass
COPIES_DAY = 12  # part of the day is dropped a second time
DRIFT_DAY = 19  # after the reference of drift (days 5 to 14), with enough days left to detect it
DRIFT_SD = 3.0
FAILED_COLUMN, DRIFT_COLUMN = "t2_degr", "t24_degr"
_KELVIN_PER_DEGR = 5 / 9
_MAX_BAD_ROWS = 3  # of a day, and at most one row in a hundred: bad rows must not fail the day
_COPIED_ROWS = 25


_Places = dict[tuple[str, date], DayRows]


def plant_faults(days: Sequence[DayRows], fleet: Fleet, *, seed: int) -> tuple[list[DayRows], tuple[PlantedFault, ...]]:
    """The days with planted faults, and the list of these faults.

    A fault whose day has fewer than 100 rows in its region, or none at all, is left out.

    Args:
        days: a simulated fleet by region and day.
        fleet: its record.
        seed: seed of the choice of rows.
    """
    rng = np.random.default_rng(seed)
    planted: list[PlantedFault] = []
    by_place = {(part.region, part.day): part for part in days}
    for number, day, kind, column in _SCHEDULE:
        place = (fleet.regions[number % len(fleet.regions)], fleet.day(day))
        part = by_place.get(place)
        count = min(_MAX_BAD_ROWS, part.rows.height // 100) if part else 0
        if part and count:
            by_place[place], fault = _plant_rows(part, kind, column, count, rng)
            planted.append(fault)
    planted += _shift_unit(by_place, fleet)
    planted += _drift(by_place, fleet)
    copies = _copies(by_place, fleet)
    planted += [fault for _, fault in copies]
    return [*by_place.values(), *(part for part, _ in copies)], tuple(planted)


def _plant_rows(
    part: DayRows, kind: str, column: str, count: int, rng: np.random.Generator
) -> tuple[DayRows, PlantedFault]:
    what, plant = _KINDS[kind]
    conflicts = kind == "conflicting_cycle"
    count = 1 if conflicts else count
    chosen = rng.choice(part.rows.height, count, replace=False)
    hit = pl.Series(np.isin(np.arange(part.rows.height), chosen))
    faulty = DayRows(part.region, part.day, part.subset, plant(part.rows, hit, column))
    set_aside = 2 * count if conflicts else count  # of two that conflict, both
    return faulty, PlantedFault(kind, part.region, part.day, column, set_aside, what)


def _replace(rows: pl.DataFrame, hit: pl.Series, column: str, value: pl.Expr) -> pl.DataFrame:
    return rows.with_columns(pl.when(hit).then(value).otherwise(pl.col(column)).alias(column))


def _out_of_range(rows: pl.DataFrame, hit: pl.Series, column: str) -> pl.DataFrame:
    return _replace(rows, hit, column, pl.lit(9999.99))


def _missing(rows: pl.DataFrame, hit: pl.Series, column: str) -> pl.DataFrame:
    return _replace(rows, hit, column, pl.lit(None, pl.Float64))


def _text(rows: pl.DataFrame, hit: pl.Series, column: str) -> pl.DataFrame:
    return _replace(rows.with_columns(pl.col(column).cast(pl.String)), hit, column, pl.lit("ERR"))


def _conflicting(rows: pl.DataFrame, hit: pl.Series, column: str) -> pl.DataFrame:
    return pl.concat([rows, rows.filter(hit).with_columns(pl.col(column) * 1.001)])


_KINDS: dict[str, tuple[str, Callable[[pl.DataFrame, pl.Series, str], pl.DataFrame]]] = {
    "out_of_range": ("a broken sensor measures 9999.99", _out_of_range),
    "missing_value": ("a reading is missing", _missing),
    "text_in_number": ("a logger wrote ERR for a number", _text),
    "conflicting_cycle": ("a cycle came twice with two readings", _conflicting),
}

#: Index of the region in the fleet's record, day, kind, channel; none of these days is the failed one.
_SCHEDULE: tuple[tuple[int, int, str, str], ...] = (
    (0, 4, "out_of_range", "t30_degr"),
    (1, 6, "missing_value", "p30_psia"),
    (2, 8, "conflicting_cycle", "t50_degr"),
    (1, 9, "text_in_number", "nc_rpm"),
    (0, 11, "conflicting_cycle", "t24_degr"),
    (2, 13, "missing_value", "bpr_ratio"),
    (0, 15, "text_in_number", "w31_lbm_per_s"),
    (2, 16, "out_of_range", "htbleed_btu_per_lb"),
)


def _shift_unit(by_place: _Places, fleet: Fleet) -> Iterable[PlantedFault]:
    region, day = fleet.regions[1 % len(fleet.regions)], fleet.day(FAILED_DAY)
    part = by_place.get((region, day))
    if part is None:
        return
    kelvin = (pl.col(FAILED_COLUMN) * _KELVIN_PER_DEGR).round(2)
    by_place[region, day] = DayRows(region, day, part.subset, part.rows.with_columns(kelvin))
    yield PlantedFault(
        "other_unit", region, day, FAILED_COLUMN, part.rows.height, "all day in kelvin, and the column names no unit"
    )


def _drift(by_place: _Places, fleet: Fleet) -> Iterable[PlantedFault]:
    region, first = fleet.regions[-1], fleet.day(DRIFT_DAY)
    offset = round(DRIFT_SD * _spread_within_regimes([part.rows for part in by_place.values()]), 2)
    drifting = {place: part for place, part in by_place.items() if place[0] == region and place[1] >= first}
    for place, part in drifting.items():
        rows = part.rows.with_columns((pl.col(DRIFT_COLUMN) + offset).round(2))
        by_place[place] = DayRows(part.region, part.day, part.subset, rows)
    count = sum(part.rows.height for part in drifting.values())
    if count:
        what = f"a sensor reads {offset:g} degR ({DRIFT_SD:g} sd within its regime) too high from this day on"
        yield PlantedFault("drift", region, first, DRIFT_COLUMN, count, what)


def _spread_within_regimes(parts: Sequence[pl.DataFrame]) -> float:
    """Standard deviation of the drifting sensor within one operating point, averaged over all points."""
    seen = pl.concat([rows.select("altitude_kft", "throttle_angle_pct", DRIFT_COLUMN) for rows in parts])
    point = (pl.col("altitude_kft").round(0), pl.col("throttle_angle_pct").round(0))
    spreads = seen.group_by(point, maintain_order=True).agg(pl.col(DRIFT_COLUMN).std())[DRIFT_COLUMN]
    return float(spreads.mean())  # type: ignore[arg-type]


def _copies(by_place: _Places, fleet: Fleet) -> list[tuple[DayRows, PlantedFault]]:
    region, day = fleet.regions[0], fleet.day(COPIES_DAY)
    part = by_place.get((region, day))
    if part is None:
        return []
    again = DayRows(region, day, part.subset, part.rows.head(_COPIED_ROWS))
    what = "the first rows of the day came again in a second drop"
    return [(again, PlantedFault("exact_copies", region, day, "", again.rows.height, what))]
