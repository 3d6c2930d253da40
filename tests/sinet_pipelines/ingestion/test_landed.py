"""What an application lands: contracts that fit each other, and rows of any columns named by their content."""

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.applications import load_applications
from sinet_pipelines.errors import ContractError
from sinet_pipelines.ingestion.hashing import row_hash
from sinet_pipelines.ingestion.landed import EventKind, LandedData
from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.validation.doubt import rows_in_doubt
from sinet_pipelines.validation.judge import judge_days
from tests.zones import landing_zone

INSTANT = pa.timestamp("us", tz="UTC")
PARTS = (
    Column("part_id", pa.int32(), "number of the part", minimum=1, maximum=1000),
    Column("grade", pa.string(), "grade of the part", allowed=("A", "B")),
    Column("recorded_at", INSTANT, "instant it was made, UTC"),
    Column("torque_nm", pa.float64(), "torque", "Nm", 0.0, 150.0),
)
ADDED = (
    Column("event_date", pa.date32(), "day of the drop"),
    Column("row_hash", pa.string(), "name of the row"),
    Column("drop_id", pa.string(), "name of the drop"),
)
UNPARSED = Column("unparsed", pa.string(), "what is none of its type", nullable=True)
NULLABLE = tuple(replace(column, nullable=True) for column in PARTS)
FAILED = Contract(
    "part_failures", "A failed part.", DataClass.FEATURE, (PARTS[0], Column("failed_at", INSTANT, "")), ("part_id",)
)
DATA = LandedData(
    "lathes",
    drop=Contract("part", "A part.", DataClass.RAW, PARTS, ("part_id",)),
    raw=Contract(
        "raw_parts",
        "A part as it came.",
        DataClass.RAW,
        (*NULLABLE, *ADDED, UNPARSED, Column("ingested_at", INSTANT, "when it was read")),
        key=("row_hash",),
        sorted_by=("part_id", "row_hash"),
    ),
    validated=Contract("validated_parts", "A sound part.", DataClass.RAW, (*PARTS, *ADDED), ("part_id",), 0.6),
    quarantine=Contract(
        "part_quarantine",
        "A part set aside.",
        DataClass.RAW,
        (*NULLABLE, *ADDED, UNPARSED, Column("reason", pa.string(), "which rule")),
        ("row_hash",),
    ),
    events=(EventKind("failures", FAILED, known_since="failed_at"),),
)
DAYS = (date(2026, 3, 1), date(2026, 3, 2))


def parts(day, ids, *, torque=40.0):
    return pl.DataFrame(
        {
            "part_id": pl.Series(ids, dtype=pl.Int32),
            "grade": ["A"] * len(ids),
            "recorded_at": [datetime(day.year, day.month, day.day, number % 24, tzinfo=UTC) for number in ids],
            "torque_nm": [torque] * len(ids),
        }
    )


def test_rows_without_cycles_land_are_judged_and_a_key_on_two_days_is_in_doubt(tmp_path):
    zone = landing_zone(tmp_path, DATA)
    zone.land("EAST", DAYS[0], name="a", rows=parts(DAYS[0], [3, 1, 2]))
    zone.land("EAST", DAYS[0], name="b", rows=parts(DAYS[0], [2, 4], torque=-5.0))
    zone.land("EAST", DAYS[1], name="a", rows=parts(DAYS[1], [1, 9]))
    days = [zone.read_day("EAST", day).rows for day in DAYS]
    assert days[0]["part_id"].to_list() == [1, 2, 2, 3, 4]
    rows = pl.concat(days)
    doubted = rows_in_doubt(rows.filter(pl.col("torque_nm") >= 0), key=DATA.validated.key)
    assert doubted.select("event_date", "part_id").rows() == [(DAYS[0], 1), (DAYS[1], 1)]
    judged = judge_days(rows, DATA.validated, doubted=doubted)
    assert judged.good.select("event_date", "part_id").rows() == [(DAYS[0], 3), (DAYS[1], 9)]
    reasons = dict(judged.bad.filter(event_date=DAYS[0]).select("part_id", "reason").rows())
    assert reasons[1] == "the same part_id was recorded on 2026-03-02 as well"
    assert reasons[4] == "torque_nm is outside 0 to 150 Nm"


def test_the_name_of_a_row_is_made_of_every_column_of_its_drop_and_of_nothing_else():
    rows = parts(DAYS[0], [1, 2])
    names = row_hash(rows, DATA.drop)
    assert row_hash(rows.with_columns(more=pl.lit(1)), DATA.drop).to_list() == names.to_list()
    changes = {
        "part_id": pl.lit(7, pl.Int32),
        "grade": pl.lit("B"),
        "recorded_at": pl.col("recorded_at").dt.offset_by("1us"),
        "torque_nm": pl.lit(40.5),
    }
    for column, change in changes.items():
        assert row_hash(rows.with_columns(change.alias(column)), DATA.drop)[0] != names[0], column


def test_events_of_its_own_kind_land_and_of_two_about_one_part_the_newer_holds(tmp_path):
    zone = landing_zone(tmp_path, DATA)
    for hour in (2, 1):
        failed = pl.DataFrame({"part_id": [5], "failed_at": [datetime(2026, 3, 1, hour, tzinfo=UTC)]})
        zone.land_events("EAST", "failures", name=f"h{hour}", events=failed.cast({"part_id": pl.Int32}))
    assert zone.read_events("EAST", "failures")["failed_at"].dt.hour().to_list() == [2]
    with pytest.raises(ContractError, match=r"lathes has no kind of events 'truth' \(known: failures\)"):
        zone.read_events("EAST", "truth")


@pytest.mark.parametrize("name", ["raw", "validated", "quarantine"])
def test_a_table_that_lacks_a_column_of_the_drop_is_refused(name):
    contract = getattr(DATA, name)
    less = replace(contract, columns=tuple(one for one in contract.columns if one.name != "torque_nm"))
    with pytest.raises(ContractError, match=f"table {contract.name} of lathes lacks torque_nm"):
        replace(DATA, **{name: less})


def test_a_drop_without_an_instant_is_refused():
    with pytest.raises(ContractError, match="drops of lathes have no column recorded_at"):
        replace(DATA, drop=replace(DATA.drop, columns=PARTS[:2]))


def test_every_application_lands_under_its_own_name():
    for application in load_applications():
        assert application.data.application == application.name
        assert {application.data.raw, application.data.validated} <= set(application.tables)
