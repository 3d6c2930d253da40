"""Folders and buckets: formats, names, what is no file of rows, and files that change while they are read."""

import gzip
import io
import itertools
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinet_pipelines.errors import DiskError, SourceError, UsageError
from sinet_pipelines.ingestion.connectors import folder as folders
from tests.full_disks import full_disk
from tests.outside import FolderOutside, StoreOutside, as_csv, as_json_lines
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


def as_parquet(rows, **options):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **options)
    return file.getvalue()


@pytest.mark.parametrize("in_memory", [1, 8 << 20])
def test_each_format_lands_packed_or_not_in_memory_or_on_disk(outside, home, monkeypatch, in_memory):
    monkeypatch.setattr("sinet_pipelines.ingestion.connectors.files.IN_MEMORY_BYTES", in_memory)
    monkeypatch.setattr("sinet_pipelines.storage.s3.IN_MEMORY_BYTES", in_memory)
    packings = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
    }
    forms = {"csv": as_csv, "jsonl": as_json_lines, "parquet": as_parquet}
    for number, (form, packing) in enumerate(itertools.product(forms, packings)):
        content = packings[packing](forms[form](some_rows(number, number + 1)))
        outside.write(f"{number}.{form}{packing}", content)
    made = pull(outside.url, home, outside.options)
    assert made.totals.unreadable == {}
    assert landed(home) == units(0, 9)


def test_a_full_disk_ends_the_pull(outside, home, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.connectors.files.IN_MEMORY_BYTES", 1)
    monkeypatch.setattr("sinet_pipelines.storage.s3.IN_MEMORY_BYTES", 1)
    outside.write("a.csv", as_csv(some_rows(0, 1_000)))
    with full_disk(after_bytes=20_000), pytest.raises(DiskError):
        pull(outside.url, home, outside.options)
    assert landed(home) == []


def test_a_file_with_only_a_header_takes_no_other_file(outside, home):
    outside.write("a.csv", as_csv(some_rows(0, 1)).split(b"\n")[0])
    outside.write("b.csv", as_csv(some_rows(0, 2)))
    made = pull(outside.url, home, outside.options)
    assert (landed(home), made.totals.unreadable) == (units(0, 2), {})


def test_a_file_with_bad_lines_lands_and_keeps_them_as_dead_letters(outside, home):
    outside.write("a.csv", as_csv(some_rows(0, 2)) + b"M2,too,many,values\n" + as_csv([a_row(3)]).split(b"\n")[1])
    for _ in range(2):
        pull(outside.url, home, outside.options)
    assert landed(home) == ["M0", "M1", "M3"]
    assert dead(home).select("payload", "stream_offset").rows() == [(b"M2,too,many,values", 4)]


def test_a_full_disk_is_no_fault_of_a_packed_file(folder, home, monkeypatch):
    monkeypatch.setattr("sinet_pipelines.ingestion.connectors.formats.IN_MEMORY_BYTES", 1)
    content = as_parquet(some_rows(0, 1_000), compression="none", use_dictionary=False)
    folder.write("a.parquet.gz", gzip.compress(content))
    with full_disk(after_bytes=len(content) - 1), pytest.raises(DiskError):
        pull(folder.url, home)
    assert pull(folder.url, home).totals.rows == 1_000


def test_other_files_are_named_and_not_read(outside, home):
    outside.add(some_rows(0, 2))
    for name in ("notes.docx", "plot.png", "_SUCCESS", "day=1/_metadata", "x_$folder$"):
        outside.write(name, b"\x00\x01")
    made = pull(outside.url, home, outside.options)
    assert sorted(made.source.notes.left) == ["notes.docx", "plot.png"]
    assert "no known format (allowed: .csv" in made.source.notes.left["plot.png"]
    assert landed(home) == units(0, 2)


def test_a_folder_of_spark_lands_with_the_values_of_its_partitions(outside, home):
    rows = [{name: value for name, value in row.items() if name != "unit"} for row in some_rows(0, 1)]
    for unit in ("007", "a%2Fb", "__HIVE_DEFAULT_PARTITION__"):
        outside.write(f"rows.parquet/unit={unit}/part-0.snappy.parquet", as_parquet(rows))
    outside.write("rows.parquet/_SUCCESS", b"")
    pull(outside.url, home, outside.options)
    assert sorted(landed_frame(home)["unit"], key=str) == ["007", None, "a/b"]


def test_a_folder_that_spark_still_writes_is_left_for_the_next_pull(outside, home):
    outside.write("rows.csv/part-0.csv", as_csv(some_rows(0, 1)))
    outside.write("rows.csv/_temporary/0/part-1.csv", as_csv(some_rows(1, 2)))
    outside.write("other.csv", as_csv(some_rows(2, 3)))
    made = pull(outside.url, home, outside.options)
    assert landed(home) == ["M2"]
    assert made.source.notes.left == {"rows.csv/part-0.csv": "its folder is still being written: it has _temporary"}


def test_a_file_that_changes_while_it_is_read_is_read_again(folder, home, monkeypatch):
    folder.write("a.csv", as_csv(some_rows(0, 2)))
    writes = [as_csv(some_rows(0, 3))]
    _changing(monkeypatch, folder, writes)
    pull(folder.url, home)
    assert landed(home) == units(0, 3)


def test_a_file_that_never_rests_is_left_for_the_next_pull(folder, home, monkeypatch):
    folder.write("a.csv", as_csv(some_rows(0, 2)))
    folder.write("b.csv", as_csv(some_rows(50, 51)))
    with monkeypatch.context() as patch:
        _changing(patch, folder, [as_csv(some_rows(0, last)) for last in range(3, 9)])
        made = pull(folder.url, home)
    assert made.source.notes.left == {"a.csv": "it changed during 3 reads; the next pull reads it"}
    assert landed(home) == ["M50"]
    pull(folder.url, home)
    assert landed(home) == sorted([*units(0, 5), "M50"])


def _changing(patch, folder, writes):
    """Writes `a.csv` again whenever it was copied."""
    real = folders.spooled

    def spooled(file, report):
        found = real(file, report)
        if file.name.endswith("a.csv") and writes:
            folder.write("a.csv", writes.pop(0))
            time.sleep(0.01)  # another tick of the clock of the file system
        return found

    patch.setattr(folders, "spooled", spooled)


def test_a_file_that_vanishes_is_named_and_the_others_land(folder, home, monkeypatch):
    folder.write("a.csv", as_csv(some_rows(0, 1)))
    folder.write("b.csv", as_csv(some_rows(1, 2)))
    real = folders.LocalFiles.open

    def opening(self, entry):
        if entry.name == "a.csv":
            (folder.folder / "a.csv").unlink(missing_ok=True)
        return real(self, entry)

    monkeypatch.setattr(folders.LocalFiles, "open", opening)
    made = pull(folder.url, home)
    assert made.source.notes.left == {"a.csv": "it was removed while the source was read"}
    assert landed(home) == ["M1"]


def test_a_name_with_a_line_end_is_named_and_the_others_land(folder, home):
    folder.write("a\nb.csv", as_csv(some_rows(0, 1)))
    folder.write("c.csv", as_csv(some_rows(1, 2)))
    made = pull(folder.url, home)
    assert "control characters" in made.source.notes.left["a\nb.csv"]
    assert landed(home) == ["M1"]


def test_a_name_that_is_not_utf_8_is_a_name(folder, home):
    (folder.folder / os.fsdecode(b"\xff.csv")).write_bytes(as_csv(some_rows(0, 2)) + b"bad\n")
    for _ in range(2):
        pull(folder.url, home)
    assert landed(home) == units(0, 2)
    assert dead(home)["topic"].to_list() == ["\\udcff.csv"]


def test_an_empty_folder_lands_nothing(folder, home):
    made = pull(folder.url, home)
    assert (made.totals.rows, made.source.notes.parts) == (0, 0)


def test_one_file_is_a_source(outside, home):
    outside.write("a b.csv", as_csv(some_rows(0, 2)))
    outside.write("other.csv", as_csv(some_rows(2, 4)))
    pull(f"{outside.url}/a b.csv", home, outside.options)
    assert landed(home) == units(0, 2)


@pytest.mark.parametrize("name", ["_export.csv", ".export.csv"])
def test_a_file_that_the_url_names_is_read_also_with_a_hidden_name(outside, home, name):
    outside.write(name, as_csv(some_rows(0, 2)))
    pull(outside.url, home, outside.options)
    assert landed(home) == []
    pull(f"{outside.url}/{name}", home, outside.options)
    assert landed(home) == units(0, 2)


def test_a_file_url_has_escapes_and_a_path_has_none(folder, home):
    folder.add(some_rows(0, 2))
    assert pull(folder.folder.as_uri(), home).source.name == f"file:{folder.folder}"
    assert pull(folder.url, home).totals.rows == 0


def test_a_source_around_the_home_is_refused(tmp_path, home):
    for url in (tmp_path, home, home / "EAST" / "landing"):
        with pytest.raises(SourceError, match="are inside each other"):
            pull(str(url), home)


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("ftp://h/rows.csv", UsageError, r"no connector reads ftp:// \(allowed: a path"),
        ("file://other/rows.csv", UsageError, "names another machine"),
        ("file:rows.csv", UsageError, "no absolute path"),
        ("s3://bucket/rows", UsageError, "AWS_ACCESS_KEY_ID"),
        ("s3://me:secret@bucket/rows", UsageError, "put them into a file"),
        ("https://me:secret@h/rows.csv", UsageError, "put them into a file"),
        ("http://h/rows", UsageError, "as the option file_name"),
        ("postgresql://me@h/d/s.t?watermark=id", UsageError, "put them into a file"),
        ("postgresql://h/d/s.t", UsageError, "names no watermark"),
        ("postgresql://h/d/t?watermark=id", UsageError, "names no host, database, schema and table"),
        ("postgresql://h/d/s.t?watermark=id&where=1", UsageError, "has where"),
        ("postgresql://h/d/s.t?watermark=id&user=me&password=secret", UsageError, "has password, user .*--options"),
        ("postgresql://h/d/s.t?watermark=id&overlap=-1", UsageError, "the overlap is '-1'"),
    ],
)
def test_what_no_connector_reads_is_refused(home, url, error, words):
    with pytest.raises(error, match=words) as found:
        pull(url, home)
    assert "secret" not in str(found.value).replace("SECRET", "").replace("secret_access_key", "")


def test_an_unknown_option_is_refused(home, tmp_path):
    with pytest.raises(UsageError, match="no option user"):
        pull(str(tmp_path / "rows"), home, {"user": "me"})
