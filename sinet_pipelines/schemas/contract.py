"""What a contract is: the columns of a table with units and bounds, its key, its data class and how much may be bad."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line asks for a region's data classes before it needs any frame
    import pyarrow as pa


class DataClass(StrEnum):
    """What kind of data a table holds, and so whether it may leave its region."""

    RAW = "raw"  # telemetry as it came, and validated: never leaves
    SEQUENCE = "sequence"  # windows of channels, can be inverted: leaves only under an agreement
    FEATURE = "feature"  # statistics, events, truth, labels, predictions: may leave
    MODEL = "model"  # weights, graphs, metrics: may leave
    PERSONAL = "personal"  # anything about people: never leaves


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: with its unit where it has one: `t30_degr`.
        dtype: as Arrow spells it.
        description: what the number is.
        unit: the unit in words, empty for none.
        minimum: smallest value that can be true, None for unbounded.
        maximum: largest value that can be true, None for unbounded.
        nullable: whether a row without this value is still a row.
        allowed: the only values, empty for any.
        max_characters: longest text that can be true, None for unbounded.
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


@dataclass(frozen=True)
class Contract:
    """What a table promises.

    Attributes:
        name: of the table.
        description: one sentence: what a row is.
        data_class: whether rows may leave their region.
        columns: in the order of the table.
        key: columns that name a row; no two rows share them.
        max_quarantined_share: share of a day's rows that may be set aside before the day itself fails.
        sorted_by: columns that rows are sorted by, ending in the key; empty for the key itself.
    """

    name: str
    description: str
    data_class: DataClass
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    max_quarantined_share: float = 0.0
    sorted_by: tuple[str, ...] = ()

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
        """The column of this name; a KeyError where the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r} (it has: {', '.join(c.name for c in self.columns)})")
