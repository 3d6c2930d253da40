"""One table of a folder as the data of an application: each row on its day, and what cannot be read with the cure."""

from datetime import date

import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.errors import FleetError, SourceError
from sinet_pipelines.ingestion.delivery import Order, recognising
from sinet_pipelines.ingestion.landed import landed_rows
from sinet_pipelines.ingestion.record import Record, read_record
from sinet_pipelines.ingestion.table_file import table_source
from sinet_pipelines.schemas.contract import Column
from tests.inventory import NAMES
from tests.zones import landing_zone

COLUMNS = (Column("sample", pa.int32(), "number", "1", 0, 100), Column("load_kw", pa.float64(), "load", "kW", 0, 10))
LANDED = landed_rows("oven", "samples", COLUMNS, key=("sample",))
SOURCE = table_source(LANDED, region="EAST")
TEXT = (
    "sample,load_kw,recorded_at\n1,2.5,2026-03-01T10:00:00Z\n2,3.5,2026-03-02T00:00:00Z\n3,4.5,2026-03-02T23:59:59Z\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant" / "oven.csv").write_text(TEXT)
    return tmp_path / "plant"


def test_every_row_lands_on_its_day_in_the_region(folder, tmp_path):
    home = tmp_path / "home"
    report = SOURCE.deliver(Order(home, folder, regions=NAMES))
    zone = landing_zone(home, LANDED)
    assert zone.days("EAST") == [date(2026, 3, 1), date(2026, 3, 2)]
    assert zone.read_day("EAST", date(2026, 3, 2)).rows["sample"].sort().to_list() == [2, 3]
    assert (report.rows, report.drops, report.new_drops, report.first_day) == (3, 2, 2, date(2026, 3, 1))
    assert read_record(home, "oven", Record.of) == Record("plant", False, date(2026, 3, 1))


def test_a_parquet_file_lands_the_same_rows(folder, tmp_path):
    SOURCE.deliver(Order(tmp_path / "csv", folder, regions=NAMES))
    rows = pl.read_csv(folder / "oven.csv", try_parse_dates=True)
    (folder / "oven.csv").unlink()
    rows.write_parquet(folder / "oven.parquet")
    SOURCE.deliver(Order(tmp_path / "parquet", folder, regions=NAMES))
    days = [landing_zone(tmp_path / name, LANDED).fingerprint("EAST", date(2026, 3, 2)) for name in ("csv", "parquet")]
    assert days[0] == days[1]


def test_landing_again_changes_nothing_and_a_withdrawn_drop_stays_away_without_restore(folder, tmp_path):
    home = tmp_path / "home"
    SOURCE.deliver(Order(home, folder, regions=NAMES))
    assert SOURCE.deliver(Order(home, folder, regions=NAMES)).new_drops == 0
    zone = landing_zone(home, LANDED)
    zone.drops("EAST", date(2026, 3, 1))[0].path.unlink()
    assert SOURCE.deliver(Order(home, folder, restore=False, regions=NAMES)).new_drops == 0
    assert SOURCE.deliver(Order(home, folder, regions=NAMES)).new_drops == 1


def test_a_folder_is_recognised_by_the_name_of_the_file(folder, tmp_path):
    assert recognising({"oven": SOURCE}, folder) == {"oven": "oven"}
    with pytest.raises(SourceError, match=r"oven: one table with a header, in oven\.csv or oven\.parquet"):
        recognising({"oven": SOURCE}, tmp_path)


def test_another_folder_for_the_same_home_is_refused(folder, tmp_path):
    SOURCE.deliver(Order(tmp_path / "home", folder, regions=NAMES))
    other = folder.rename(tmp_path / "other")
    with pytest.raises(FleetError, match="has oven of plant, not of other; give another --home"):
        SOURCE.deliver(Order(tmp_path / "home", other, regions=NAMES))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sample,recorded_at\n1,2026-03-01T10:00:00Z\n", "lacks load_kw .*add the columns"),
        ("sample,load_kw,recorded_at\n", "has no row"),
        ("", "cannot be read"),
        (TEXT.replace("2.5", "high"), "value of another type"),
        (TEXT.replace("2026-03-01T10:00:00Z", "yesterday"), "without an instant"),
    ],
)
def test_a_table_that_cannot_be_landed_is_refused_and_nothing_lands(folder, tmp_path, text, reason):
    (folder / "oven.csv").write_text(text)
    with pytest.raises(SourceError, match=reason):
        SOURCE.deliver(Order(tmp_path / "home", folder, regions=NAMES))
    assert not (tmp_path / "home").exists()


def test_without_a_folder_there_is_nothing_to_simulate(tmp_path):
    with pytest.raises(SourceError, match=r"oven has no simulated data .*give one with --data"):
        SOURCE.deliver(Order(tmp_path / "home", regions=NAMES))
