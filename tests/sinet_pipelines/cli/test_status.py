"""`sinet status` lists the files of the landing zone that are not used."""

import re

from rich.console import Console

from sinet_pipelines.cli.status import SHOWN_FILES, _unused_table, read_unused


def _lines(table):
    console = Console(width=160)
    with console.capture() as said:
        console.print(table)
    return said.get().splitlines()


def test_unused_files_of_a_home_are_listed_with_path_reason_cure_and_region(home):
    day = home / "landing" / "EAST" / "1970-01-01"
    day.mkdir()
    (day / "a.parquet").write_bytes(b"")
    (found,) = read_unused(home)
    assert (found["path"], found["region"]) == ("EAST/1970-01-01/a.parquet", "EAST")
    assert found["reason"].startswith("1970-01-01 is before the first day of this fleet")
    assert found["cure"].startswith("set first_day in fleet.json to 1970-01-01")


def test_a_file_called_like_markup_is_shown_as_it_is_called():
    lines = _lines(_unused_table([{"path": "EAST/[/red].csv", "reason": "[b]no[/b]", "cure": "remove it"}]))
    assert re.split(r"\s{2,}", lines[1].strip()) == ["EAST/[/red].csv", "[b]no[/b]", "remove it"]


def test_of_many_unused_files_the_first_are_shown_and_the_others_counted():
    files = [{"path": f"{number}.csv", "reason": "no", "cure": "remove it"} for number in range(SHOWN_FILES + 3)]
    lines = _lines(_unused_table(files))
    assert len(lines) == 1 + SHOWN_FILES + 1
    assert lines[-1].startswith("... and 3 more")
