"""The data that an application lands: contracts of its drops and events, from the file to the validated row."""

from dataclasses import dataclass, replace

from sinet_pipelines.errors import ContractError
from sinet_pipelines.schemas.contract import RECORDED_AT, Column, Contract, DataClass, Validated

#: Columns that the platform adds to a row on its way from the drop to the raw table.
ADDED = ("event_date", "row_hash", "drop_id", "unparsed", "ingested_at")


@dataclass(frozen=True)
class EventKind:
    """One kind of events, which land in addition to the drops: failures, truth.

    Attributes:
        name: name of the kind and of its folder below `events/`.
        contract: contract of its table.
        known_since: column with the instant since when an event is known; of two with the same key, the newer is used.
    """

    name: str
    contract: Contract
    known_since: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class LandedData:
    """The data that one application lands in the regions.

    Attributes:
        application: its name, the folder of its drops, tables and refs in each region.
        drop: a row of a file. Its columns identify a row: rows with equal values in all of them are one row.
        raw: an unchanged row, in which every value is nullable, with the columns `ADDED`.
        validated: a row that fulfils its contract; two days may not have the same key.
        quarantine: a row that violates the contract, with the reason.
        events: the kinds of events.
    """

    application: str
    drop: Contract
    raw: Contract
    validated: Contract
    quarantine: Contract
    events: tuple[EventKind, ...] = ()

    def __post_init__(self) -> None:
        names = {column.name for column in self.drop.columns}
        if RECORDED_AT not in names:
            raise ContractError(f"drops of {self.application} have no column {RECORDED_AT}; add it to {self.drop.name}")
        for contract, added in (
            (self.raw, ADDED),
            (self.validated, ADDED[:3]),
            (self.quarantine, (*ADDED[:4], "reason")),
        ):
            there = {column.name for column in contract.columns}
            if missing := sorted({*names, *added} - there):
                raise ContractError(
                    f"table {contract.name} of {self.application} lacks {', '.join(missing)} (needed: the columns of "
                    f"{self.drop.name}, and {', '.join(added)}); add them to its contract"
                )

    @property
    def tables(self) -> Validated:
        """The tables of the validation."""
        return Validated(self.raw, self.validated, self.quarantine)

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """The columns of the raw table except `ingested_at`, which the step adds."""
        return tuple(column.name for column in self.raw.columns if column.name != ADDED[-1])

    def kind(self, name: str) -> EventKind:
        """The kind of events of this name.

        Raises:
            ContractError: the application has no such kind.
        """
        for kind in self.events:
            if kind.name == name:
                return kind
        known = ", ".join(kind.name for kind in self.events) or "none"
        raise ContractError(f"{self.application} has no kind of events {name!r} (known: {known}); add it to its events")


def landed_rows(
    application: str, name: str, columns: tuple[Column, ...], *, key: tuple[str, ...], quarantined_share: float = 0.05
) -> LandedData:
    """The landed data of an application, from only the columns of its rows: drops, and the three tables made of them.

    Args:
        application: its name.
        name: name of its rows; `samples` makes the tables `raw_samples` and `validated_samples`.
        columns: columns of a row, with their bounds; the instant `recorded_at` is added.
        key: columns that identify a row.
        quarantined_share: largest share of a day's rows in quarantine; above it, the day fails.
    """
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    row = (*columns, Column(RECORDED_AT, instant, "instant of the row, UTC"))
    date = Column("event_date", pa.date32(), "day of the drop the row came in; the partition")
    row_hash = Column("row_hash", pa.string(), "BLAKE2b-128 of the row's content: the name of the row")
    drop_id = Column("drop_id", pa.string(), "first 16 hex digits of the SHA-256 of the drop it came in")
    unparsed = Column("unparsed", pa.string(), "JSON of values that are no value of their type", nullable=True)
    ingested = Column("ingested_at", instant, "instant the day was rebuilt from its drops, UTC")
    reason = Column("reason", pa.string(), "each rule the row broke, with what was found")
    came = (*(replace(one, nullable=True) for one in row), date, row_hash, drop_id, unparsed)
    by = (*key, "row_hash")
    return LandedData(
        application,
        drop=Contract("drop", f"A row of {name}, as it is sent.", DataClass.RAW, row, key=key),
        raw=Contract(
            f"raw_{name}", f"A row of {name}, as it came.", DataClass.RAW, (*came, ingested), ("row_hash",), 0.0, by
        ),
        validated=Contract(
            f"validated_{name}",
            f"A row of {name} that fulfils the contract.",
            DataClass.RAW,
            (*row, date, row_hash, drop_id),
            key=key,
            max_quarantined_share=quarantined_share,
        ),
        quarantine=Contract(
            "quarantine",
            "A row set aside, as it came, with the reason.",
            DataClass.RAW,
            (*came, reason),
            ("row_hash",),
            0.0,
            by,
        ),
    )
