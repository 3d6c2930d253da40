"""Contracts of what is recorded about arrival: the files of a landing zone, and the earlier versions of a table's rows.

A table that keeps its versions has two tables beside it, of its own data class: `<table>_arrivals` has the instant from
which a row is known, `<table>_history` has the rows that the table no longer has.
"""

from dataclasses import replace
from functools import cache

import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass

KNOWN_AT, KNOWN_FROM, KNOWN_UNTIL = "as_known_at", "known_from", "known_until"
ARRIVALS_SUFFIX, HISTORY_SUFFIX = "_arrivals", "_history"
_INSTANT = pa.timestamp("us", tz="UTC")
_DATE = "event_date"

FILE_ARRIVALS = Contract(
    "file_arrivals",
    "The first observation of one content in a landing zone: a drop, or a file of events.",
    DataClass.FEATURE,
    (
        Column("kind", pa.string(), "kind of events; empty for a drop"),
        Column("day", pa.date32(), "day of the drop; null for events", nullable=True),
        Column("content", pa.string(), "id of the drop, or SHA-256 of the file of events"),
        Column("arrived_at", _INSTANT, "instant of the first observation, UTC"),
        Column("was_there", pa.bool_(), "already there at the first observation of the zone: its arrival is unknown"),
    ),
    key=("kind", "day", "content"),
)


@cache
def arrivals_of(contract: Contract) -> Contract:
    """The table with the instant from which each row of a table is known; a row without one: the end of its day.

    Args:
        contract: of a table with `event_date` and `row_hash`.
    """
    names = tuple(dict.fromkeys((_DATE, *contract.key, "row_hash")))
    return Contract(
        contract.name + ARRIVALS_SUFFIX,
        f"The instant from which one row of {contract.name} is known.",
        contract.data_class,
        (*(contract.column(name) for name in names), Column(KNOWN_FROM, _INSTANT, "instant of its arrival, UTC")),
        key=contract.key,
    )


@cache
def history_of(contract: Contract) -> Contract:
    """The table with the former rows of a table; a row from before a column was added has none of its values.

    Args:
        contract: as for `arrivals_of`.
    """
    names = (_DATE, *contract.key, "row_hash")
    return Contract(
        contract.name + HISTORY_SUFFIX,
        f"A row that {contract.name} had, and that was corrected or withdrawn.",
        contract.data_class,
        (
            *(one if one.name in names else replace(one, nullable=True) for one in contract.columns),
            Column(KNOWN_FROM, _INSTANT, "instant from which it was known, UTC"),
            Column(KNOWN_UNTIL, _INSTANT, "instant of its correction or withdrawal, UTC"),
        ),
        key=(*contract.key, KNOWN_FROM),
    )


@cache
def corrected_of(contract: Contract) -> Contract:
    """The table with the present values of the rows of a set that were corrected after the moment of prediction.

    Args:
        contract: of the set.
    """
    return replace(
        contract,
        name=f"{contract.name}_corrected",
        description=f"A row of {contract.name} with its present values, which were corrected after its prediction.",
    )


def table_beside(name: str) -> str:
    """The table whose arrivals or history a table has; the name itself for any other table.

    >>> table_beside("window_features_history"), table_beside("window_features")
    ('window_features', 'window_features')
    """
    return name.removesuffix(ARRIVALS_SUFFIX).removesuffix(HISTORY_SUFFIX)
