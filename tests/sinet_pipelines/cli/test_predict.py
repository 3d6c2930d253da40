"""`sinet predict`: every live engine of every region, or the engines of a file, asked from the champion's server."""

import datetime as dt
import json
import warnings

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.deployment.process import stop_all
from sinet_pipelines.errors import ContractError, ServingError, SourceError, UsageError
from sinet_pipelines.features.sequences import sequence_windows, sequences_to_table
from sinet_pipelines.schemas.features import LIVE_SEQUENCES
from sinet_pipelines.schemas.telemetry import CHANNELS, SENSORS, SETTINGS
from sinet_pipelines.storage.tables import TableStore
from tests.sinet_pipelines.deployment.served import expected_rul, publish_rul

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    from sinet_pipelines.cli.predict import command, live_sequences, read_windows
    from sinet_pipelines.cli.serve import command as serve

DAY = dt.date(2026, 1, 1)
ENGINES = {"EAST": ("FD001-L0001", 40), "WEST": ("FD001-L0002", 12), "NULL_ISLAND": ("FD001-L0003", 1)}


def telemetry(unit: str, cycles: int) -> pl.DataFrame:
    rng = np.random.default_rng(cycles)
    said = {"unit": [unit] * cycles, "cycle": np.arange(1, cycles + 1, dtype=np.int32)}
    hashes = [f"{unit}-{cycle}" for cycle in range(cycles)]
    channels = {one.name: rng.uniform(one.minimum, one.maximum, cycles) for one in (*SETTINGS, *SENSORS)}
    return pl.DataFrame(said | channels | {"event_date": [DAY] * cycles, "row_hash": hashes})


def expected_of(rows: pl.DataFrame) -> float:
    """The RUL of an engine at its last row, from its rows by hand: absent cycles count as zero."""
    channels = rows.select(CHANNELS).to_numpy()[-30:]
    return float(100.0 + channels.sum() / (30 * 24) + 0.01 * rows["cycle"][-1])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one live engine a region and a served champion."""
    home = tmp_path_factory.mktemp("home")
    (home / "landing").mkdir()
    (home / "landing" / "fleet.json").write_text("{}")
    for region, (unit, cycles) in ENGINES.items():
        rows = telemetry(unit, cycles)
        asked = rows.filter(pl.col("cycle").is_in([cycles, max(1, cycles - 5)]))  # an older window stands there too
        table = sequences_to_table(sequence_windows(rows, at=asked), rows=asked)
        TableStore(str(home / "tables" / region)).replace(LIVE_SEQUENCES, pl.DataFrame(pl.from_arrow(table)))
    publish_rul(home / "serving" / "models", "1", bias=100.0, alias="champion", with_interval=True)
    serve("rul", home=home)
    yield home
    stop_all(home)


def predictions(capsys, **options):
    capsys.readouterr()
    command(as_json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_every_live_engine_of_every_region_is_asked_at_its_latest_cycle(home, capsys):
    said = predictions(capsys, home=home)
    assert (said["model"], said["version"]) == ("rul", "1")
    assert [row["unit"] for row in said["predictions"]] == sorted(unit for unit, _ in ENGINES.values())
    for row, (unit, cycles) in zip(said["predictions"], sorted(ENGINES.values()), strict=True):
        expected = expected_of(telemetry(unit, cycles))
        assert row["rul_cycles"] == pytest.approx(expected, rel=1e-5)
        assert row["lower_cycles"] == pytest.approx(expected - 10, rel=1e-5)
        assert row["upper_cycles"] == pytest.approx(expected + 10, rel=1e-5)


def test_named_engines_come_in_the_order_named(home, capsys):
    said = predictions(capsys, home=home, unit=["FD001-L0003", "FD001-L0001"])
    assert [row["unit"] for row in said["predictions"]] == ["FD001-L0003", "FD001-L0001"]


def test_an_engine_that_is_not_there_is_answered_with_those_that_are(home):
    with pytest.raises(UsageError, match=r"no engine 'X' \(there: FD001-L0001, FD001-L0002, FD001-L0003\)"):
        command(home=home, unit=["X"])


def test_without_json_a_table_is_printed(home, capsys):
    capsys.readouterr()
    command(home=home)
    said = capsys.readouterr().out
    assert "rul version 1" in said
    assert all(unit in said for unit, _ in ENGINES.values())


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_an_engine_in_a_file_is_asked_at_its_last_cycle(home, capsys, tmp_path, kind):
    rows = telemetry("mine", 35).drop("event_date", "row_hash").sample(fraction=1.0, shuffle=True, seed=1)
    path = tmp_path / f"mine.{kind}"
    getattr(rows, f"write_{kind}")(path)
    said = predictions(capsys, home=home, window=path)
    assert [row["unit"] for row in said["predictions"]] == ["mine"]
    assert said["predictions"][0]["rul_cycles"] == pytest.approx(expected_of(telemetry("mine", 35)), rel=1e-5)


def test_a_server_named_by_its_url_is_asked(home, capsys):
    from sinet_pipelines.deployment.process import endpoints

    (endpoint,) = endpoints(home)
    assert predictions(capsys, home=home, url=endpoint["url"]) == predictions(capsys, home=home)


def test_a_model_without_an_interval_gives_null(tmp_path, home, capsys):
    publish_rul(home / "serving" / "models", "2", bias=100.0)
    capsys.readouterr()
    serve("rul", version="2", home=home, as_json=True)
    url = json.loads(capsys.readouterr().out)["url"]
    said = predictions(capsys, home=home, url=url)
    assert said["version"] == "2"
    assert [(row["lower_cycles"], row["upper_cycles"]) for row in said["predictions"]] == [(None, None)] * 3
    assert predictions(capsys, home=home)["version"] == "1"  # the one beside it does not take the champion's place


def test_without_a_server_it_says_how_to_start_one(home, tmp_path):
    path = tmp_path / "mine.csv"
    telemetry("mine", 3).write_csv(path)
    other = tmp_path / "other"
    (other / "landing").mkdir(parents=True)
    (other / "landing" / "fleet.json").write_text("{}")
    with pytest.raises(ServingError, match="start one with `sinet run` or `sinet serve`"):
        command(home=other, window=path)
    with pytest.raises(UsageError, match="no live engine in .*`sinet run`"):
        command(home=other)
    with pytest.raises(ServingError, match="no model server answers at http://127.0.0.1:1"):
        command(home=home, window=path, url="http://127.0.0.1:1")


def test_live_windows_are_those_of_the_telemetry(home):
    sequences = live_sequences(home)
    inputs = {"window": sequences.window_BTC, "cycle": sequences.cycle_B.reshape(-1, 1).astype(np.float32)}
    by_hand = [expected_of(telemetry(unit, cycles)) for unit, cycles in sorted(ENGINES.values())]
    np.testing.assert_allclose(expected_rul(inputs, bias=100.0).ravel(), by_hand, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda rows: rows.drop("nc_rpm", "t2_degr"), "lacks t2_degr, nc_rpm"),
        (lambda rows: rows.clear(), "has no rows"),
        (lambda rows: rows.with_columns(nc_rpm=pl.lit("fast")), "cannot be read as telemetry"),
        (
            lambda rows: rows.with_columns(nc_rpm=pl.lit(None, pl.Float64)),
            "no number in a column of engine mine, cycle 1",
        ),
        (lambda rows: rows.with_columns(nc_rpm=pl.lit(float("nan"))), "no number in a column of engine mine, cycle 1"),
        (lambda rows: rows.with_columns(cycle=pl.col("cycle") - 1), "has cycle 0"),
        (
            lambda rows: rows.with_columns(t50_degr=pl.lit(775.0)),
            r"has t50_degr 775 in engine mine, cycle 1 \(3 rows; allowed: 800 to 1900 degR\); is it in another unit",
        ),
    ],
)
def test_a_file_that_is_no_telemetry_is_refused_in_a_sentence(tmp_path, change, found):
    path = tmp_path / "mine.parquet"
    change(telemetry("mine", 3)).write_parquet(path)
    with pytest.raises(SourceError, match=found):
        read_windows(path)


def test_a_file_that_is_missing_foreign_or_broken_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no file .* name one with a drop's columns|cannot be read"):
        read_windows(tmp_path / "missing.csv")
    with pytest.raises(SourceError, match=r"allowed: .csv, .parquet, .json"):
        read_windows(tmp_path / "mine.xlsx")
    for name in ("broken.parquet", "broken.json", "broken.csv"):
        (tmp_path / name).write_bytes(b"\x00\xff{")
        with pytest.raises(SourceError):
            read_windows(tmp_path / name)


def test_a_cycle_twice_in_a_file_is_refused(tmp_path):
    path = tmp_path / "twice.parquet"
    pl.concat([telemetry("mine", 3), telemetry("mine", 3)]).write_parquet(path)
    with pytest.raises(ContractError, match="cycle 1 of engine mine is there twice"):
        read_windows(path)
