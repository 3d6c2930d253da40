"""`sinet_pipelines.open`: tables and the champion of a walked home in a notebook; clear errors for what is absent."""

import json
import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sinet_pipelines
from sinet_pipelines.errors import ContractError, ModelNotFoundError, StorageError, UnknownRegionError, UsageError
from sinet_pipelines.quantization.runtime import served_session
from tests.conftest import CHECKOUT

NOTEBOOK = CHECKOUT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def home(walked):
    folder, _ = walked
    return sinet_pipelines.open(folder)


@pytest.fixture(scope="module")
def champion(home):
    return home.champion("turbofan")


def test_a_table_is_the_same_as_pandas_polars_and_arrow(home):
    table = home.table("turbofan", "window_features", region="EAST")
    as_polars, as_arrow, as_pandas = table.to_polars(), table.to_arrow(), table.to_pandas()
    assert as_arrow.schema.names == [column.name for column in table.contract.columns]
    assert [field.type for field in as_arrow.schema] == [column.dtype for column in table.contract.columns]
    assert len(as_polars) == as_arrow.num_rows == len(as_pandas) > 0
    assert as_pandas["unit"].tolist() == as_arrow["unit"].to_pylist() == as_polars["unit"].to_list()
    assert table.scan().select(pl.len()).collect().item() == len(as_polars)


def test_without_a_region_the_rows_are_those_of_all_regions_that_have_the_table(home):
    everywhere = home.table("turbofan", "raw_telemetry")
    parts = [home.table("turbofan", "raw_telemetry", region=region).to_polars() for region in everywhere.regions]
    assert set(everywhere.regions) == {"EAST", "WEST", "NULL_ISLAND"}
    assert sorted(everywhere.to_polars()["row_hash"]) == sorted(pl.concat(parts)["row_hash"])
    assert len(home.table("turbofan", "training_set").regions) == 1


def test_days_choose_rows(home):
    rows = home.table("turbofan", "validated_telemetry").to_polars()
    days = sorted(rows["event_date"].unique())
    some = home.table("turbofan", "validated_telemetry", days=(days[1], days[2])).to_polars()
    assert set(some["event_date"]) == {days[1], days[2]}
    with pytest.raises(UsageError, match="has no days"):
        home.table("turbofan", "evaluation_results", days=(date(2026, 1, 1), date(2026, 1, 2)))


def test_the_champion_predicts_what_its_graph_predicts(home, champion):
    rows = home.table("turbofan", "evaluation_sequences").to_polars()
    predicted = champion(rows)
    window = np.array(rows["window"].to_list(), np.float32).reshape(-1, 30, 24)
    first = np.array(rows["first_cycles"].to_list(), np.float32).reshape(-1, 10, 24)
    cycle = rows["cycle"].to_numpy().astype(np.float32)[:, None]
    tensors = {"window": window, "first_cycles": first, "cycle": cycle}
    expected = served_session(champion.graph).run(["rul_cycles"], tensors)[0].ravel()
    np.testing.assert_allclose(predicted["rul_cycles"].to_numpy(), expected, rtol=1e-5, equal_nan=True)
    assert np.isfinite(expected).any()
    assert champion.tables == ("live_sequences", "calibration_sequences", "evaluation_sequences")


def test_predictions_come_in_the_library_of_the_frame(home, champion):
    rows = home.table("turbofan", "evaluation_sequences").to_polars().head(5)
    by_polars = champion(rows)
    frame = home.table("turbofan", "evaluation_sequences").to_pandas().head(5).set_index("unit")
    by_pandas = champion(frame)
    by_arrow = champion(rows.to_arrow())
    assert isinstance(by_pandas, pd.DataFrame)
    assert isinstance(by_arrow, pa.Table)
    assert by_pandas.index.equals(frame.index)
    np.testing.assert_array_equal(by_pandas["rul_cycles"].to_numpy(), by_polars["rul_cycles"].to_numpy())
    assert champion(rows.clear()).columns == list(champion.outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop("window"), "lacks window .*live_sequences"),
        (lambda rows: rows.with_columns(pl.col("window").list.head(5)), r"lists of \['5'\] values \(allowed: 720\)"),
        (lambda rows: rows.with_columns(cycle=pl.lit("soon")), r"cycle holds String \(allowed: numbers\)"),
        (lambda rows: rows.with_columns(window=pl.lit(1.0)), "lists of 720 numbers"),
        (lambda rows: rows.to_dicts(), r"a list is no frame \(allowed: polars, pandas or Arrow\)"),
    ],
)
def test_rows_that_the_graph_cannot_read_are_refused(home, champion, change, message):
    rows = home.table("turbofan", "evaluation_sequences").to_polars().head(3)
    with pytest.raises(ContractError, match=message):
        champion(change(rows))


def test_what_is_not_known_is_refused_with_what_is_known(home):
    with pytest.raises(UsageError, match=r"no application 'turbines' \(known: .*turbofan"):
        home.table("turbines", "raw_telemetry")
    with pytest.raises(UsageError, match=r"has no table 'raw' \(known: raw_telemetry, "):
        home.table("turbofan", "raw")
    with pytest.raises(UnknownRegionError, match=r"no region 'NORTH' \(known: EAST, WEST, NULL_ISLAND\)"):
        home.table("turbofan", "raw_telemetry", region="NORTH")
    with pytest.raises(UsageError, match="live_sequences of turbofan was not made in WEST yet"):
        home.table("turbofan", "live_sequences", region="WEST")
    with pytest.raises(UsageError, match="no application 'turbines'"):
        home.champion("turbines")


def test_a_folder_without_a_home_is_refused(tmp_path):
    for folder, state in ((tmp_path, "holds no data yet"), (tmp_path / "nowhere", "is not there")):
        with pytest.raises(UsageError, match=f"{state}; `sinet run`"):
            sinet_pipelines.open(folder)


def test_a_home_of_another_version_is_refused(tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "fleet.json").write_text("{}")
    with pytest.raises(StorageError, match=r"version 0\.1"):
        sinet_pipelines.open(str(tmp_path))


def test_a_home_without_a_model_says_so(landed):
    with pytest.raises(ModelNotFoundError, match="no model is registered"):
        sinet_pipelines.open(landed).champion("turbofan")


def test_importing_the_package_imports_no_frame():
    code = "import sys, sinet_pipelines; print(sorted({'polars', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_the_notebook_of_the_documentation_runs(walked, tmp_path, monkeypatch):
    folder, _ = walked
    (tmp_path / "docs").mkdir()
    (tmp_path / ".sinet").mkdir()
    (tmp_path / ".sinet" / "current").symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(tmp_path / "docs")
    names = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells):
        assert cell["outputs"] == [], f"cell {number} has outputs; remove them"
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert names["features"].regions == ("EAST",)
    assert len(names["rows"]) > 0
    assert names["by_day"]["rows"].sum() == len(names["home"].table("turbofan", "validated_telemetry").to_polars())
    assert set(names["predictions"].columns) == {"unit", "cycle", *names["champion"].outputs}
