"""Finds the probable unit of a column whose median is outside its bounds, and the files concerned.

Factors are from NIST Special Publication 811 (2008), appendix B; pressures are absolute unless the name contains gauge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sinet_pipelines.schemas.contract import Column

_KELVIN_OFFSET, _FAHRENHEIT_OFFSET = 273.15, 459.67
_ATMOSPHERE_PSI = 14.695949
_SHOWN_FILES = 3


@dataclass(frozen=True)
class OtherUnit:
    """A unit that values may have: the contract's value is `(value + offset) * factor`."""

    name: str
    factor: float
    offset: float = 0.0

    def convert(self, value: float) -> float:
        """The value in the unit of the contract.

        >>> round(OTHER_UNITS["degR"][0].convert(288.15), 2)  # the standard atmosphere at sea level
        518.67
        """
        return (value + self.offset) * self.factor


#: Other units by the unit of the contract.
OTHER_UNITS: Mapping[str, tuple[OtherUnit, ...]] = {
    "degR": (
        OtherUnit("kelvin", 9 / 5),
        OtherUnit("degrees Celsius", 9 / 5, _KELVIN_OFFSET),
        OtherUnit("degrees Fahrenheit", 1.0, _FAHRENHEIT_OFFSET),
    ),
    "psia": (
        OtherUnit("kilopascal", 1 / 6.894757),
        OtherUnit("bar", 14.503774),
        OtherUnit("pascal", 1 / 6894.757),
        OtherUnit("megapascal", 145.03774),
        OtherUnit("standard atmospheres", _ATMOSPHERE_PSI),
        OtherUnit("psi gauge", 1.0, _ATMOSPHERE_PSI),
    ),
    "K": (
        OtherUnit("degrees Celsius", 1.0, _KELVIN_OFFSET),
        OtherUnit("degrees Fahrenheit", 5 / 9, _FAHRENHEIT_OFFSET),
        OtherUnit("degrees Rankine", 5 / 9),
    ),
    "Nm": (
        OtherUnit("pound-force feet", 1.3558179),
        OtherUnit("newton centimetres", 0.01),
        OtherUnit("kilonewton metres", 1000.0),
    ),
    "min": (OtherUnit("seconds", 1 / 60), OtherUnit("hours", 60.0)),
    "kft": (OtherUnit("feet", 1e-3), OtherUnit("metres", 1 / 304.8), OtherUnit("kilometres", 1 / 0.3048)),
    "rpm": (OtherUnit("revolutions per second", 60.0), OtherUnit("radians per second", 9.549297)),
    "lbm/s": (
        OtherUnit("kilograms per second", 2.2046226),
        OtherUnit("pounds per minute", 1 / 60),
        OtherUnit("pounds per hour", 1 / 3600),
    ),
    "Btu/lb": (OtherUnit("kilojoules per kilogram", 1 / 2.326), OtherUnit("joules per kilogram", 1 / 2326.0)),
    "%": (OtherUnit("a fraction of one", 100.0), OtherUnit("per mille", 0.1)),
    "1": (OtherUnit("per cent", 0.01),),
}


def is_outside(column: Column, value: float) -> bool:
    """Whether the column's bounds exclude a value."""
    below = column.minimum is not None and value < column.minimum
    return below or (column.maximum is not None and value > column.maximum)


def likely_units(column: Column, median: float) -> tuple[str, ...]:
    """The units in which a median outside the bounds would be within them, the most likely first.

    A unit is more likely if it brings the median nearer to the centre of the bounds.
    """
    middle = ((column.minimum or 0.0) + (column.maximum or 0.0)) / 2
    found = [unit for unit in OTHER_UNITS.get(column.unit, ()) if not is_outside(column, unit.convert(median))]
    return tuple(unit.name for unit in sorted(found, key=lambda unit: abs(unit.convert(median) - middle)))


def explain_median(column: Column, median: float, *, by_file: Mapping[str, float | None]) -> str:
    """The fault of a column whose median is outside its bounds, and the cure.

    Args:
        column: of the contract, bounded on both sides.
        median: of the whole day.
        by_file: median of each file; those outside the bounds are named.

    >>> t2 = Column("t2_degr", None, "", "degR", 380.0, 620.0)
    >>> explain_median(t2, 271.7, by_file={"EAST/2026-03-01/x.parquet": 271.7})
    'median t2_degr is 271.7, expected 380 to 620 degR: probably kelvin; file EAST/2026-03-01/x.parquet; drop the day \
again in degR'
    """
    units = likely_units(column, median)
    guess = f"probably {', or '.join(units)}" if units else "another unit, or a broken instrument"
    files = sorted(name for name, value in by_file.items() if value is not None and is_outside(column, value))
    more = f" and {len(files) - _SHOWN_FILES} more" if len(files) > _SHOWN_FILES else ""
    named = f"; file{'s' * (len(files) > 1)} {', '.join(files[:_SHOWN_FILES])}{more}" if files else ""
    return (
        f"median {column.name} is {median:.4g}, expected {column.minimum:g} to {column.maximum:g} {column.unit}: "
        f"{guess}{named}; drop the day again in {column.unit}"
    )
