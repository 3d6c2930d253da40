import polars as pl
import pytest

from sinet_pipelines.applications.milling.reader import read_records
from sinet_pipelines.errors import SourceError


def test_what_is_written_is_read(records, write_table):
    found = read_records(write_table(records))
    assert found.rows.equals(records)
    assert len(found.digest) == 64


def test_order_case_and_further_columns_change_nothing(records, write_table):
    def edit(text):
        rows = pl.read_csv(text.encode(), infer_schema=False)
        shuffled = rows.rename(str.upper).select(reversed(rows.rename(str.upper).columns))
        return shuffled.reverse().with_columns(note=pl.lit("x")).write_csv()

    assert read_records(write_table(records, edit=edit)).rows.equals(records)


def test_the_published_table_is_as_published(published_folder):
    rows = read_records(published_folder).rows
    assert (rows.height, rows["machine_failure"].sum()) == (10_000, 339)
    assert dict(rows.group_by("product_type").len().iter_rows()) == {"L": 6000, "M": 2997, "H": 1003}
    counted = [rows[f"{name}_failure"].sum() for name in ("tool_wear", "heat_dissipation", "power", "overstrain")]
    assert counted == [46, 115, 95, 98]
    assert rows["random_failure"].sum() == 19


def test_a_folder_that_is_none_and_one_of_another_data_set(tmp_path):
    with pytest.raises(SourceError, match="no folder .*name one with ai4i2020.csv"):
        read_records(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"has no ai4i2020.csv \(there: nothing\)"):
        read_records(tmp_path)
    (tmp_path / "train_FD001.txt").write_text("1 1 0.0\n")
    with pytest.raises(SourceError, match=r"has no ai4i2020.csv \(there: train_FD001.txt\); name a folder"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty; take the file"),
        (b"\xff\xfe\x00", "no UTF-16"),
        (b"a,b\n1,2\n", "none of the columns of AI4I 2020 .*another data set"),
        (b"PK\x03\x04\x00\x00", "NUL characters"),
    ],
    ids=["empty", "torn", "other", "archive"],
)
def test_a_file_that_is_no_such_table(tmp_path, content, expected):
    (tmp_path / "ai4i2020.csv").write_bytes(content)
    with pytest.raises(SourceError, match=expected) as raised:
        read_records(tmp_path)
    assert str(tmp_path / "ai4i2020.csv") in str(raised.value)


def test_a_missing_column_is_named_and_one_in_another_unit_is_missing(records, write_table):
    with pytest.raises(SourceError, match=r"it lacks column Torque \[Nm\]"):
        read_records(write_table(records, drop=("Torque [Nm]",)))
    celsius = write_table(records, edit=lambda text: text.replace("Air temperature [K]", "Air temperature [C]"))
    with pytest.raises(SourceError, match=r"it lacks column Air temperature \[K\] \(columns are named with their unit"):
        read_records(celsius)


def test_a_column_that_stands_twice(records, write_table):
    def edit(text):
        return "\n".join(line + "," + ("twf" if line.startswith("UDI") else "0") for line in text.splitlines())

    with pytest.raises(SourceError, match="it has column TWF twice"):
        read_records(write_table(records, edit=edit))


def test_a_header_alone(records, write_table):
    with pytest.raises(SourceError, match="a header and no rows"):
        read_records(write_table(records.head(0)))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("torque_nm", "forty", r"row 3 has Torque \[Nm\] 'forty' \(1 such rows; allowed: numbers\)"),
        ("tool_wear_failure", "0.5", r"row 3 has TWF '0.5' \(1 such rows; allowed: whole numbers\)"),
        ("machine_failure", "2", r"row 3 has Machine failure 2 \(1 such rows; allowed: 0 to 1\)"),
        (
            "air_temperature_k",
            "26.85",
            r"row 3 has Air temperature \[K\] 26.85 .*270 to 330 K\); is it in another unit",
        ),
        ("product_type", "Z", r"row 3 has Type 'Z' \(1 such rows; allowed: L, M, H\)"),
        ("torque_nm", "", r"row 3 has no Torque \[Nm\]"),
        ("torque_nm", "inf", r"row 3 has Torque \[Nm\] inf .*allowed: 0 to 150 Nm"),
        ("record_id", "1", r"record 1 \(UDI\) is there twice"),
    ],
)
def test_a_value_that_the_contract_does_not_allow_is_refused_with_its_row(
    records, write_table, column, value, expected
):
    texts = records.head(5).cast(pl.String)
    changed = pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    with pytest.raises(SourceError, match=expected):
        read_records(write_table(texts.with_columns(changed)))
