"""What every source of `sinet pull` keeps: each row lands exactly once, and bad rows never take others with them."""

import itertools
import json
from datetime import date

import pytest

from sinet_pipelines.errors import BusyError, SinetError
from sinet_pipelines.ingestion.connectors.letters import Letters
from sinet_pipelines.ingestion.connectors.source import CONNECTORS
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.ingestion.record import read_first_days
from sinet_pipelines.ingestion.zone_file import ZoneFile
from tests.databases import running_database
from tests.loopback import free_port
from tests.outside import KINDS, FolderOutside, StoreOutside, TableOutside, WebOutside
from tests.pulls import a_pull, a_row, landed, landed_frame, pull, some_rows, units
from tests.web_servers import WebServer


@pytest.fixture(scope="module")
def database():
    with running_database() as found:
        yield found


NUMBERS = itertools.count()


@pytest.fixture(params=KINDS)
def outside(request, tmp_path):
    if request.param == "folder":
        yield FolderOutside(tmp_path)
    elif request.param == "s3":
        yield StoreOutside(request.getfixturevalue("s3_store"))
    elif request.param == "postgresql":
        yield TableOutside(request.getfixturevalue("database"), f'rows "{next(NUMBERS)}" 50%')
    else:
        server = WebServer()
        yield WebOutside(server)
        server.stop()


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


def test_the_suite_runs_over_every_connector():
    assert set(CONNECTORS.values()) == set(KINDS)


def test_every_row_lands_once_on_its_day(outside, home):
    outside.add(some_rows(0, 25))
    made = pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 25)
    assert (made.totals.rows, made.totals.dead_letters) == (25, 0)
    assert {
        (row["unit"], row["speed_rpm"], str(row["event_date"])) for row in landed_frame(home).iter_rows(named=True)
    } == {(f"M{number}", number / 4, "2026-03-01" if number < 10 else "2026-03-02") for number in range(25)}
    assert read_first_days(home) == {"plant": date(2026, 3, 1)}


def test_a_second_pull_lands_nothing(outside, home):
    outside.add(some_rows(0, 5))
    pull(outside.url, home, outside.options)
    again = pull(outside.url, home, outside.options)
    assert (again.totals.rows, again.totals.drops, again.totals.withdrawn) == (0, 0, 0)
    assert again.source.notes.unchanged + again.source.notes.repeated >= 1
    assert landed(home) == units(0, 5)


def test_new_rows_land_beside_the_former_ones(outside, home):
    outside.add(some_rows(0, 5))
    pull(outside.url, home, outside.options)
    outside.add(some_rows(5, 9))
    made = pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 9)
    assert made.totals.rows == (9 if isinstance(outside, WebOutside) else 4)


def test_a_value_of_another_type_is_set_aside_with_its_text_and_its_neighbours_land(outside, home):
    outside.add([a_row(0), a_row(1, speed_rpm="fast"), a_row(2, speed_rpm="NaN"), a_row(3)])
    made = pull(outside.url, home, outside.options)
    rows = {row["unit"]: row for row in landed_frame(home).iter_rows(named=True)}
    assert json.loads(rows["M1"]["unparsed"]) == {"speed_rpm": "fast"}
    assert [rows[name]["speed_rpm"] for name in ("M0", "M1", "M2", "M3")] == [0.0, None, None, 0.75]
    assert made.totals.set_aside == {"speed_rpm": 1}


def test_an_infinite_value_stays_infinite(outside, home):
    outside.add([a_row(0, speed_rpm="Infinity"), a_row(1)])
    pull(outside.url, home, outside.options)
    found = dict(landed_frame(home).select("unit", "speed_rpm").iter_rows())
    assert found == {"M0": float("inf"), "M1": 0.25}  # out of bounds: validation sets it aside


def test_leading_zeros_of_a_name_are_kept(outside, home):
    outside.add([a_row(0, unit="007"), a_row(1, unit="7"), a_row(2, unit="1e3"), a_row(3, unit="true")])
    pull(outside.url, home, outside.options)
    assert landed(home) == ["007", "1e3", "7", "true"]


def test_equal_rows_at_the_source_are_one_row(outside, home):
    outside.add([a_row(0), a_row(0), a_row(1)])
    pull(outside.url, home, outside.options)
    zone_rows = {row["unit"] for row in _rows_with_copies(home).iter_rows(named=True)}
    assert zone_rows == {"M0", "M1"}
    pull(outside.url, home, outside.options)
    assert _rows_with_copies(home).height == 2


def _rows_with_copies(home):
    from tests.pulls import DATA
    from tests.zones import landing_zone

    zone = landing_zone(home, DATA)
    import polars as pl

    return pl.concat([zone.read_day("EAST", day).rows for day in zone.days("EAST")])


class KilledError(BaseException):
    """The process ends here."""


STEPS = ((Taken, "plan"), (ZoneFile, "keep"), (Letters, "append"), (Taken, "confirm"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_kill_at_any_step_loses_and_doubles_nothing(outside, home, monkeypatch, owner, step, when):
    outside.add(some_rows(0, 12))
    real = getattr(owner, step)

    def killed(*arguments):
        if when == "after":
            real(*arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(KilledError):
            pull(outside.url, home, outside.options)
    outside.add(some_rows(12, 15))  # the second pull finds other rows than the first one
    pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 15)


def test_a_pull_beside_another_one_of_the_same_source_lands_nothing_twice(outside, home):
    outside.add(some_rows(0, 4))
    first, second = (a_pull(outside.url, home, outside.options) for _ in range(2))
    first.run()
    with pytest.raises(BusyError, match="another `sinet pull` takes rows from"):
        second.run()
    assert landed(home) == units(0, 4)


def _away(kind, tmp_path):
    port = free_port()
    return {
        "folder": (str(tmp_path / "nowhere"), {}),
        "s3": (
            "s3://bucket/rows",
            {"endpoint_url": f"http://127.0.0.1:{port}", "access_key_id": "a", "secret_access_key": "s3cret"},
        ),
        "postgresql": (f"postgresql://127.0.0.1:{port}/plant/public.rows?watermark=id", {"password": "s3cret"}),
        "http": (f"http://127.0.0.1:{port}/rows.csv", {"user": "me", "password": "s3cret"}),
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_away_ends_with_one_sentence_without_the_password(kind, home, tmp_path, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.connectors.client.PAUSE_S", 0.0)
    monkeypatch.setattr("sinet_pipelines.storage.s3.RETRIES", 0)
    url, options = _away(kind, tmp_path)
    with pytest.raises(SinetError) as found:
        pull(url, home, options)
    assert "\n" not in str(found.value)
    assert "s3cret" not in str(found.value)
    assert not (home / "EAST" / "landing").exists()
