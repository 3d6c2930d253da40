"""Files that grow, are replaced, renamed, rotated or removed: which rows stay."""

import gzip
import os

import pytest

from tests.outside import FolderOutside, StoreOutside, as_csv
from tests.pulls import a_row, dead, landed, landed_frame, pull, some_rows, units


@pytest.fixture(params=["folder", "s3"])
def outside(request, tmp_path):
    return FolderOutside(tmp_path) if request.param == "folder" else StoreOutside(request.getfixturevalue("s3_store"))


@pytest.fixture
def folder(tmp_path):
    return FolderOutside(tmp_path)


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir()
    return path


def drops(home):
    return sorted((home / "EAST/landing/plant").glob("????-??-??/*.parquet"))


def test_the_rows_of_a_replaced_file_are_withdrawn(outside, home):
    outside.write("a.csv", as_csv(some_rows(0, 4)))
    outside.write("b.csv", as_csv(some_rows(4, 6)))
    pull(outside.url, home, outside.options)
    outside.write("a.csv", as_csv([a_row(0, speed_rpm=99), a_row(7)]))
    made = pull(outside.url, home, outside.options)
    assert landed(home) == ["M0", "M4", "M5", "M7"]
    assert dict(landed_frame(home).select("unit", "speed_rpm").iter_rows())["M0"] == 99
    assert (made.totals.rows, made.totals.withdrawn, len(drops(home))) == (2, 1, 2)


def test_a_file_that_grows_has_each_row_once(outside, home):
    for last in (2, 4, 15):
        outside.write("log.csv", as_csv(some_rows(0, last)))
        pull(outside.url, home, outside.options)
        assert landed(home) == units(0, last)


def test_a_rotated_file_keeps_its_rows(outside, home):
    outside.write("log.csv", as_csv(some_rows(0, 3)))
    pull(outside.url, home, outside.options)
    outside.write("log.1.csv", as_csv(some_rows(0, 3)))
    outside.write("log.csv", as_csv(some_rows(3, 5)))
    made = pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 5)
    assert made.totals.withdrawn == 0


def test_the_oldest_file_of_a_numbered_rotation_keeps_its_rows_when_it_is_gone(outside, home):
    parts = [some_rows(first, first + 2) for first in (0, 2, 4, 6)]
    for newest in (1, 2, 3):
        for age, name in enumerate(("log.csv", "log.1.csv")):  # two files are kept
            outside.write(name, as_csv(parts[newest - age]))
        made = pull(outside.url, home, outside.options)
        assert (landed(home), made.totals.withdrawn) == (units(0, 2 * newest + 2), 0)


def test_a_file_that_is_renamed_and_corrected_later_has_its_present_rows(outside, home):
    outside.write("a.csv", as_csv(some_rows(0, 4)))
    pull(outside.url, home, outside.options)
    outside.rename("a.csv", "b.csv")
    pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 4)
    outside.write("b.csv", as_csv([a_row(0, speed_rpm=99), a_row(7)]))
    made = pull(outside.url, home, outside.options)
    assert (landed(home), made.totals.withdrawn) == (["M0", "M7"], 1)
    outside.write("a.csv", as_csv(some_rows(0, 4)))  # the former content comes back under its name
    pull(outside.url, home, outside.options)
    assert landed(home) == sorted([*units(0, 4), "M0", "M7"])


def test_a_copy_that_is_still_there_keeps_the_rows_of_a_replaced_file(outside, home):
    for name in ("a.csv", "b.csv"):
        outside.write(name, as_csv(some_rows(0, 2)))
    pull(outside.url, home, outside.options)
    outside.write("b.csv", as_csv(some_rows(2, 3)))
    pull(outside.url, home, outside.options)
    assert landed(home) == units(0, 3)


def test_a_file_that_is_packed_when_it_is_rotated_is_the_same_file(outside, home):
    outside.write("log.csv", as_csv(some_rows(0, 3)))
    pull(outside.url, home, outside.options)
    outside.write("log-20260301.csv.gz", gzip.compress(as_csv(some_rows(0, 3))))
    made = pull(outside.url, home, outside.options)
    assert (landed(home), made.totals.rows) == (units(0, 3), 0)


def test_a_link_that_leads_to_another_folder_later_is_one_source(tmp_path, home):
    for version, rows in (("v1", some_rows(0, 3)), ("v2", some_rows(0, 5))):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.csv").write_bytes(as_csv(rows))
        (tmp_path / "current").unlink(missing_ok=True)
        (tmp_path / "current").symlink_to(version)
        pull(str(tmp_path / "current"), home)
        assert landed(home) == units(0, len(rows))


def test_a_removed_file_keeps_its_rows(folder, home):
    folder.add(some_rows(0, 3))
    pull(folder.url, home)
    (folder.folder / "rows 1.csv").unlink()
    pull(folder.url, home)
    assert landed(home) == units(0, 3)


def test_equal_files_of_two_names_land_once(outside, home):
    outside.write("a.csv", as_csv(some_rows(0, 3)))
    outside.write("copy of a.csv", as_csv(some_rows(0, 3)))
    made = pull(outside.url, home, outside.options)
    assert (landed(home), made.totals.rows) == (units(0, 3), 3)


def test_an_unreadable_replacement_leaves_the_former_rows_and_is_reported_once(outside, home):
    outside.write("a.parquet.csv", as_csv(some_rows(0, 3)))
    pull(outside.url, home, outside.options)
    outside.write("a.parquet.csv", b"unit\nM9\n")
    made = pull(outside.url, home, outside.options)
    assert list(made.totals.unreadable) == ["a.parquet.csv"]
    assert pull(outside.url, home, outside.options).totals.unreadable == {}
    assert landed(home) == units(0, 3)
    assert dead(home)["topic"].to_list() == ["a.parquet.csv"]
    outside.write("a.parquet.csv", as_csv(some_rows(3, 5)))
    pull(outside.url, home, outside.options)
    assert landed(home) == units(3, 5)


def test_a_dead_letter_of_a_file_that_grows_is_stored_once(outside, home):
    content = as_csv(some_rows(0, 2)) + b"bad\n"
    for number in range(3):
        outside.write("log.csv", content)
        pull(outside.url, home, outside.options)
        content += as_csv(some_rows(number + 2, number + 3)).split(b"\n")[1] + b"\n"
    assert landed(home) == units(0, 4)
    assert dead(home)["payload"].to_list() == [b"bad"]


def test_a_file_older_than_those_that_landed_is_read(folder, home):
    folder.add(some_rows(0, 1))
    pull(folder.url, home)
    folder.write("late.csv", as_csv(some_rows(1, 2)))
    os.utime(folder.folder / "late.csv", (0, 0))
    pull(folder.url, home)
    assert landed(home) == units(0, 2)


def test_a_file_changed_within_one_tick_of_the_clock_is_noticed(folder, home):
    path = folder.folder / "a.csv"
    folder.write("a.csv", as_csv([a_row(1)]))
    before = path.stat()
    pull(folder.url, home)
    with path.open("r+b") as file:  # the same length, the same inode
        file.write(as_csv([a_row(1, unit="M9")]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    pull(folder.url, home)
    assert landed(home) == ["M9"]
