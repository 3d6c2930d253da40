"""Pulls of tests: one application with two columns, and what of it landed."""

from datetime import UTC, datetime, timedelta

import deltalake
import polars as pl
import pyarrow as pa

from sinet_pipelines.ingestion.connectors.letters import Letters
from sinet_pipelines.ingestion.connectors.pull import Pull
from sinet_pipelines.ingestion.connectors.source import Settings, open_source
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.streams.stream_tables import DEAD_LETTERS
from sinet_pipelines.schemas.contract import Column
from sinet_pipelines.storage.objects import open_objects
from sinet_pipelines.storage.roots import access_options, root_of
from sinet_pipelines.storage.tables import tables_of
from tests.zones import landing_zone

COLUMNS = (Column("unit", pa.string(), "a machine"), Column("speed_rpm", pa.float64(), "its speed", "rpm"))
DATA = landed_rows("plant", "samples", COLUMNS, key=("unit", "recorded_at"))
START = datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC)


def a_row(number, **more):
    """A row of the machine `M<number>`, over two days."""
    at = (START + timedelta(seconds=number)).isoformat()
    return {"unit": f"M{number}", "speed_rpm": number / 4, "recorded_at": at, **more}


def some_rows(first, last):
    """The rows of some machines."""
    return [a_row(number) for number in range(first, last)]


def a_pull(url, home, options=None, **more):
    """A pull of a source into EAST that has not run."""
    settings = Settings(DATA.drop, options or {}, cache=home / "cache", home=home, name=more.pop("name", ""))
    source = open_source(url, settings)
    objects = open_objects(root_of(home, "EAST").uri, access_options(home, "EAST"))
    return Pull(
        source,
        Taken(objects, "plant", source.name, home=home),
        Letters(tables_of(home, "EAST", "plant"), source.name),
        zone=landing_zone(home, DATA),
        region="EAST",
        objects=objects,
        **more,
    )


def pull(url, home, options=None, **more):
    """Pulls a source into EAST; the pull, with its totals."""
    made = a_pull(url, home, options, **more)
    made.run()
    return made


def landed_frame(home):
    """All rows in the landing zone with `unparsed`; fails where a row is in two drops."""
    zone = landing_zone(home, DATA)
    days = [zone.read_day("EAST", day) for day in zone.days("EAST")]
    assert [(day.duplicates, day.faults) for day in days] == [(0, ())] * len(days)
    return pl.concat([day.rows for day in days]) if days else pl.DataFrame({"unit": []}, schema={"unit": pl.String})


def landed(home):
    """The machines of all landed rows."""
    return sorted(landed_frame(home)["unit"], key=str)


def units(first, last):
    """The names of some machines."""
    return sorted(f"M{number}" for number in range(first, last))


def dead(home):
    """The dead letters."""
    try:
        found = deltalake.DeltaTable(tables_of(home, "EAST", "plant").uri(DEAD_LETTERS))
    except deltalake.exceptions.TableNotFoundError:
        return pl.DataFrame(schema={"reason": pl.String, "payload": pl.Binary, "topic": pl.String})
    return pl.DataFrame(found.to_pyarrow_table())
