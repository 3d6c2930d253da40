"""A pull in pieces: large files, files that turn out to be damaged, sources that go away, homes without a first day."""

import gzip
from datetime import date

import pytest

from sinet_pipelines.errors import UnreachableError
from sinet_pipelines.ingestion.connectors import pull as pulls
from sinet_pipelines.ingestion.connectors.files import FileSource
from sinet_pipelines.ingestion.record import read_first_days
from tests.outside import FolderOutside, as_csv
from tests.pulls import a_pull, a_row, dead, landed, pull, some_rows, units


@pytest.fixture
def folder(tmp_path):
    return FolderOutside(tmp_path)


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def in_pieces(monkeypatch):
    """Each block of rows is a drop, which is written at once."""
    for name in ("DROP_ROWS", "WAITING_BYTES"):
        monkeypatch.setattr(pulls, name, 1)
    monkeypatch.setattr("sinet_pipelines.ingestion.connectors.formats.BLOCK_ROWS", 10)


def drops(home):
    return list((home / "EAST/landing/plant").glob("????-??-??/*.parquet"))


def test_a_large_file_lands_in_several_drops(folder, home, in_pieces):
    folder.write("a.csv", as_csv(some_rows(0, 35)))
    made = pull(folder.url, home)
    assert landed(home) == units(0, 35)
    assert made.totals.drops == len(drops(home)) == 4  # 10 rows of the first day, 25 of the second
    folder.write("a.csv", as_csv(some_rows(0, 5)))
    assert pull(folder.url, home).totals.withdrawn == 4
    assert landed(home) == units(0, 5)


def test_a_file_that_is_damaged_at_its_end_leaves_no_row(folder, home, in_pieces):
    whole = gzip.compress(as_csv([a_row(number, unit=f"{number * 7919:x}") for number in range(900)]))
    folder.write("a.csv.gz", whole[:-20])
    folder.write("b.csv", as_csv(some_rows(0, 3)))
    made = pull(folder.url, home)
    assert landed(home) == units(0, 3)
    assert (made.totals.rows, made.totals.drops, len(drops(home))) == (3, 1, 1)
    assert "break off" in made.totals.unreadable["a.csv.gz"]
    assert dead(home)["topic"].to_list() == ["a.csv.gz"]


def test_a_source_that_goes_away_keeps_what_was_complete(folder, home, in_pieces, monkeypatch):
    for name, rows in (("a", some_rows(0, 25)), ("b", some_rows(25, 60)), ("c", some_rows(60, 61))):
        folder.write(f"{name}.csv", as_csv(rows))
    real = FileSource._part

    def part(self, entry, *found):
        made = real(self, entry, *found)
        if entry.name == "b.csv":
            object.__setattr__(made, "blocks", _breaking(made.blocks))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(FileSource, "_part", part)
        made = a_pull(folder.url, home)
        with pytest.raises(UnreachableError):
            made.run()
    assert landed(home) == units(0, 25)
    pull(folder.url, home)
    assert landed(home) == units(0, 61)


def _breaking(blocks):
    found = iter(blocks)
    yield next(found)
    yield next(found)
    raise UnreachableError("the store went away")


def test_many_files_are_saved_together(folder, home, monkeypatch):
    for number in range(20):
        folder.write(f"{number}.csv", as_csv(some_rows(number, number + 1)))
    saves = []
    real = pulls.Taken.confirm
    monkeypatch.setattr(pulls.Taken, "confirm", lambda *arguments: saves.append(1) or real(*arguments))
    pull(folder.url, home)
    assert landed(home) == units(0, 20)
    assert len(saves) < 20


def test_the_first_day_of_a_new_home_is_the_earliest_of_all_files(folder, home):
    folder.write("a.csv", as_csv([a_row(0, recorded_at="2026-03-05T00:00:00Z")]))
    folder.write("b.csv", as_csv([a_row(1, recorded_at="2026-03-02T00:00:00Z")]))
    folder.write("c.csv", as_csv([a_row(2, recorded_at="1970-01-01T00:00:00Z")]))
    made = pull(folder.url, home)
    assert read_first_days(home) == {"plant": date(2026, 3, 2)}
    assert made.totals.before_first_day == 1
    folder.write("d.csv", as_csv([a_row(3, recorded_at="2026-03-01T00:00:00Z")]))
    assert pull(folder.url, home).totals.before_first_day == 1
    assert read_first_days(home) == {"plant": date(2026, 3, 2)}


def _killed(folder, home, monkeypatch):
    """A pull that is killed when it writes its first drop."""

    def keep(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pulls.ZoneFile, "keep", keep)
        with pytest.raises(KeyboardInterrupt):
            pull(folder.url, home)


def test_a_first_pull_that_was_killed_finds_the_earliest_day_when_it_is_repeated(folder, home, in_pieces, monkeypatch):
    folder.write("a.csv", as_csv([a_row(0, recorded_at="2026-03-05T00:00:00Z")]))
    folder.write("b.csv", as_csv([a_row(1, recorded_at="2026-03-02T00:00:00Z")]))
    _killed(folder, home, monkeypatch)
    assert read_first_days(home) == {"plant": date(2026, 3, 5)}
    assert pull(folder.url, home).totals.before_first_day == 0
    assert read_first_days(home) == {"plant": date(2026, 3, 2)}
    folder.write("c.csv", as_csv([a_row(2, recorded_at="2026-03-01T00:00:00Z")]))
    assert pull(folder.url, home).totals.before_first_day == 1


def test_first_pulls_at_the_same_time_share_the_earliest_day(folder, home, in_pieces, monkeypatch, tmp_path):
    folder.write("a.csv", as_csv([a_row(0, recorded_at="2026-03-05T00:00:00Z")]))
    _killed(folder, home, monkeypatch)  # as if it went on
    (tmp_path / "other").mkdir()
    other = FolderOutside(tmp_path / "other")
    other.write("b.csv", as_csv([a_row(1, recorded_at="2026-03-02T00:00:00Z")]))
    assert pull(other.url, home).totals.before_first_day == 0
    folder.write("a.csv", as_csv([a_row(0, recorded_at="2026-03-01T00:00:00Z")]))
    assert pull(folder.url, home).totals.before_first_day == 0
    assert read_first_days(home) == {"plant": date(2026, 3, 1)}


def test_the_first_day_of_a_new_home_can_be_given(folder, home):
    folder.write("c.csv", as_csv([a_row(2, recorded_at="1970-01-02T00:00:00Z")]))
    made = pull(folder.url, home, first_day=date(1970, 1, 1))
    assert (read_first_days(home), made.totals.before_first_day) == ({"plant": date(1970, 1, 1)}, 0)
