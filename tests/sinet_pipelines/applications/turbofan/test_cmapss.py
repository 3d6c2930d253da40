import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.cmapss import counted_cycle, find_subsets, last_cycles, read_cmapss
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import SourceError


def _replace_line(path, number, line):
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")


def test_a_subset_is_read_as_its_files_say(cmapss_folder):
    subset = read_cmapss(cmapss_folder, "FD009")
    assert subset.train.columns == ["unit", "cycle", *CHANNELS]
    assert subset.train.select("unit", "cycle").rows()[:7] == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 1)]
    assert subset.train.row(1)[2:] == tuple(k + 0.02 for k in range(len(CHANNELS)))
    assert subset.test.height == 5
    assert subset.rul.rows() == [(1, 7), (2, 9)]
    assert subset.longest == 6


def test_runs_of_blanks_tabs_carriage_returns_and_empty_lines_are_blanks(cmapss_folder):
    plain = read_cmapss(cmapss_folder, "FD009")
    path = cmapss_folder / "train_FD009.txt"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + path.read_bytes().replace(b" ", b" \t ").replace(b"\n", b"\r\n\r\n"))
    assert read_cmapss(cmapss_folder, "FD009").train.equals(plain.train)


def test_a_file_without_a_last_newline_keeps_its_last_row(cmapss_folder):
    path = cmapss_folder / "train_FD009.txt"
    path.write_text(path.read_text().rstrip())
    assert read_cmapss(cmapss_folder, "FD009").train.height == 15


def test_an_unsorted_file_comes_out_sorted(cmapss_folder):
    sorted_rows = read_cmapss(cmapss_folder, "FD009").train
    path = cmapss_folder / "train_FD009.txt"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    assert read_cmapss(cmapss_folder, "FD009").train.equals(sorted_rows)


def test_a_repeated_cycle_stays_as_often_as_it_is_there(cmapss_folder):
    path = cmapss_folder / "train_FD009.txt"
    first = path.read_text().splitlines()[0]
    path.write_text(f"{first}\n{first.replace('5.01', '5.99')}\n" + path.read_text())
    rows = read_cmapss(cmapss_folder, "FD009").train
    assert rows.filter(unit=1, cycle=1)[CHANNELS[5]].to_list() == [5.01, 5.99, 5.01]


def test_a_text_in_a_number_keeps_its_row_and_its_text(cmapss_folder):
    path = cmapss_folder / "train_FD009.txt"
    _replace_line(path, 2, path.read_text().splitlines()[1].replace(" 7.02 ", " broken "))
    rows = read_cmapss(cmapss_folder, "FD009").train
    assert rows.height == 15
    assert rows.filter(unit=1, cycle=2)[CHANNELS[7]].item() == "broken"
    assert rows.schema[CHANNELS[7]] == pl.String
    assert rows.schema[CHANNELS[6]] == pl.Float64


@pytest.mark.parametrize("found", ["two", "0", "2.5", "-1", "100001", "nan", "inf"])
def test_a_cycle_that_is_none_keeps_its_row_beside_its_neighbour(cmapss_folder, found):
    path = cmapss_folder / "train_FD009.txt"
    lines = path.read_text().splitlines()
    _replace_line(path, 3, lines[2].replace("1 3 ", f"1 {found} ", 1))
    rows = read_cmapss(cmapss_folder, "FD009").train
    assert rows.height == 15
    assert rows.schema["cycle"] == pl.String
    # it stands where it stood, and counts as its neighbour's cycle, so that it lands on the day it was measured
    assert rows.select(counted_cycle()).to_series().to_list()[:6] == [1, 2, 2, 4, 5, 6]
    assert last_cycles(rows)["last_cycle"].to_list() == [6, 4, 5]


def test_a_first_row_without_a_cycle_counts_as_the_next(cmapss_folder):
    rows = read_cmapss(cmapss_folder, "FD009").train.cast({"cycle": pl.String})
    rows = rows.with_columns(cycle=pl.when(pl.col("cycle") == "1").then(pl.lit("x")).otherwise("cycle"))
    assert rows.select(counted_cycle()).to_series().to_list()[:3] == [2, 2, 3]


def test_subsets_are_found_by_any_of_their_files(cmapss_folder):
    (cmapss_folder / "RUL_FD010.txt").write_text("1\n")
    (cmapss_folder / "readme.txt").write_text("hello")
    assert find_subsets(cmapss_folder) == ["FD009", "FD010"]


def test_the_digest_changes_with_any_file(cmapss_folder):
    before = read_cmapss(cmapss_folder, "FD009").digest
    assert read_cmapss(cmapss_folder, "FD009").digest == before
    (cmapss_folder / "RUL_FD009.txt").write_text("7\n8\n")
    assert read_cmapss(cmapss_folder, "FD009").digest != before


def _lose_column(path):
    _replace_line(path, 3, " ".join(path.read_text().splitlines()[2].split()[:-1]))


def _lose_unit(path):
    _replace_line(path, 3, path.read_text().splitlines()[2].replace("1 3 ", "one 3 ", 1))


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        (
            "train_FD009.txt",
            _lose_column,
            ["line 3", f"{len(CHANNELS) + 1} columns", f"allowed: {len(CHANNELS) + 2}", "1 of 15 lines", "mend"],
        ),
        ("train_FD009.txt", _lose_unit, ["line 3", "'one'", "whole number from 1", "mend"]),
        ("test_FD009.txt", lambda path: path.write_text(""), ["is empty", "allowed: one row a line", "again"]),
        ("test_FD009.txt", lambda path: path.write_text(" \n\r\n"), ["is empty"]),
        ("train_FD009.txt", lambda path: path.unlink(), ["no file", "three files"]),
        ("RUL_FD009.txt", lambda path: path.unlink(), ["no file", "three files"]),
        ("RUL_FD009.txt", lambda path: path.write_text("7\n"), ["has 1 lines", "allowed: 2", "same data set"]),
        ("RUL_FD009.txt", lambda path: path.write_text("7\n9\n4\n"), ["has 3 lines", "allowed: 2"]),
        ("RUL_FD009.txt", lambda path: path.write_text("7\n\nsoon\n"), ["line 3", "'soon'", "from 0", "mend"]),
        ("RUL_FD009.txt", lambda path: path.write_text("7\n-1\n"), ["line 2", "-1"]),
        ("RUL_FD009.txt", lambda path: path.write_text("7 1\n9 1\n"), ["line 1", "2 columns", "allowed: 1"]),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(cmapss_folder, file, damage, words):
    damage(cmapss_folder / file)
    with pytest.raises(SourceError) as refused:
        read_cmapss(cmapss_folder, "FD009")
    message = str(refused.value)
    assert file in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_bytes_that_are_no_text_are_refused(cmapss_folder):
    (cmapss_folder / "train_FD009.txt").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(SourceError, match=r"train_FD009.txt, line \d+: \d+ columns"):
        read_cmapss(cmapss_folder, "FD009")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"no folder .*nowhere; name one with files like train_FD001.txt"):
        read_cmapss(tmp_path / "nowhere", "FD001")


def test_a_folder_without_a_subset_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"has no train_\*.txt"):
        find_subsets(tmp_path)


@pytest.mark.parametrize("subset", ["FD001", "../FD009", ""])
def test_a_subset_that_is_not_there_is_refused_with_those_that_are(cmapss_folder, subset):
    with pytest.raises(SourceError, match=r"there: FD009"):
        read_cmapss(cmapss_folder, subset)


@pytest.mark.parametrize(("subset", "train", "test"), [("FD001", 20_631, 13_096), ("FD003", 24_720, 16_596)])
def test_nasas_own_files_are_read_whole(nasa_folder, subset, train, test):
    read = read_cmapss(nasa_folder, subset)
    assert (read.train.height, read.test.height, read.rul.height) == (train, test, 100)  # the data set's readme
    numbers = [float(word) for word in (nasa_folder / f"train_{subset}.txt").read_text().splitlines()[-1].split()]
    assert list(read.train.row(-1)) == numbers
    assert set(read.train.dtypes[2:]) == {pl.Float64}
