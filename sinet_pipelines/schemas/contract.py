"""Defines contracts: columns of a table with units and bounds, key, data class and the allowed share of bad rows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sinet_pipelines.errors import ContractError

if TYPE_CHECKING:  # the command line needs data classes before it needs pyarrow
    import pyarrow as pa


RECORDED_AT = "recorded_at"  # the instant of a row, UTC; it must be on the day of its drop


class DataClass(StrEnum):
    """The kind of data in a table, which decides whether they may leave their region."""

    RAW = "raw"  # telemetry as sent, and validated: never leaves
    SEQUENCE = "sequence"  # windows of channels, can be inverted: leaves only under an agreement
    FEATURE = "feature"  # statistics, events, truth, labels, predictions: may leave
    MODEL = "model"  # weights, graphs, metrics: may leave
    PERSONAL = "personal"  # anything about people: never leaves


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: with its unit if it has one: `t30_degr`.
        dtype: Arrow type.
        description: meaning of the value.
        unit: the unit in words, empty for none.
        minimum: smallest valid value, None for unbounded.
        maximum: largest valid value, None for unbounded.
        nullable: whether a row without this value is valid.
        allowed: the only valid values, empty for any.
        max_characters: length of the longest valid text, None for unbounded.
        stuck_after: number of equal values in succession in a series that shows a stuck sensor, None for none.
        outlier_iqrs: distance from the quartiles of a day, in interquartile ranges, from which a value is reported.
    """

    name: str
    dtype: "pa.DataType"
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    max_characters: int | None = None
    stuck_after: int | None = None
    outlier_iqrs: float | None = None


@dataclass(frozen=True)
class Contract:
    """The schema and the limits of a table.

    Attributes:
        name: of the table.
        description: one sentence on what a row is.
        data_class: whether rows may leave their region.
        columns: in the order of the table.
        key: columns that identify a row; no two rows share them.
        max_quarantined_share: share of a day's rows that may be set aside before the day itself fails.
        sorted_by: columns that rows are sorted by, ending in the key; empty for the key itself.
        series: columns that identify a series of rows, such as a machine; empty if all rows are one series.
        counter: column that rises in a series while time passes; empty for none.
    """

    name: str
    description: str
    data_class: DataClass
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    max_quarantined_share: float = 0.0
    sorted_by: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    counter: str = ""

    @property
    def order(self) -> tuple[str, ...]:
        """Columns that rows of the table are sorted by."""
        return self.sorted_by or self.key

    @property
    def schema(self) -> "pa.Schema":
        """The table's Arrow schema, in the contract's order."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, c.dtype, c.nullable) for c in self.columns])

    def column(self, name: str) -> Column:
        """The column of this name; raises KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r} (it has: {', '.join(c.name for c in self.columns)})")


@dataclass(frozen=True)
class TableName:
    """A table by its name and class alone, from which its path follows.

    Attributes:
        name: of the table.
        data_class: of its rows.
    """

    name: str
    data_class: DataClass


AnyTable = Contract | TableName


@dataclass(frozen=True)
class Beside:
    """A table with a copy of some of the validated rows.

    Attributes:
        contract: of the table; its columns are those of the validated rows.
        column: column by which rows are chosen.
        at_most: the largest value of that column in a chosen row.
    """

    contract: Contract
    column: str
    at_most: float


@dataclass(frozen=True)
class Validated:
    """The tables of a validation.

    Attributes:
        raw: contract of the rows as sent.
        validated: contract that rows must satisfy.
        quarantine: contract of the rows that do not.
        beside: tables with a copy of some of the validated rows.
    """

    raw: Contract
    validated: Contract
    quarantine: Contract
    beside: tuple[Beside, ...] = ()

    def __post_init__(self) -> None:
        if others := [one.name for one in self.written if one.data_class is not self.validated.data_class]:
            raise ContractError(
                f"{', '.join(others)} has rows of {self.validated.name} in another class than "
                f"{self.validated.data_class}; declare it with that class"
            )

    @property
    def written(self) -> tuple[Contract, ...]:
        """The tables in the order in which they are written: the table that others read is the last."""
        return (self.quarantine, *(one.contract for one in self.beside), self.validated)
