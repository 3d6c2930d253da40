"""`sinet predict`: every live engine of every region, or the engines of a file, asked from the champion's server."""

import datetime as dt
import json
import subprocess
import sys
import warnings

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.application import TURBOFAN
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows, sequences_to_table
from sinet_pipelines.applications.turbofan.schemas.features import LIVE_SEQUENCES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSORS, SETTINGS
from sinet_pipelines.deployment.process import stop_all
from sinet_pipelines.errors import ServingError, SourceError, UsageError
from sinet_pipelines.storage.layout import record_file
from sinet_pipelines.storage.tables import tables_of
from tests.sinet_pipelines.deployment.served import expected_rul, publish_rul
from tests.sinet_pipelines.models.examples import WORN

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    from sinet_pipelines.cli.predict import _shown, _value, application_of, command, newest_rows
    from sinet_pipelines.cli.serve import command as serve

DAY = dt.date(2026, 1, 1)
ENGINES = {"EAST": ("FD001-L0001", 40), "WEST": ("FD001-L0002", 12), "NULL_ISLAND": ("FD001-L0003", 1)}


def telemetry(unit: str, cycles: int) -> pl.DataFrame:
    rng = np.random.default_rng(cycles)
    values = {"unit": [unit] * cycles, "cycle": np.arange(1, cycles + 1, dtype=np.int32)}
    hashes = [f"{unit}-{cycle}" for cycle in range(cycles)]
    channels = {one.name: rng.uniform(one.minimum, one.maximum, cycles) for one in (*SETTINGS, *SENSORS)}
    return pl.DataFrame(values | channels | {"event_date": [DAY] * cycles, "row_hash": hashes})


def expected_of(rows: pl.DataFrame) -> float:
    """The RUL of an engine at its last row, from its rows by hand: absent cycles count as zero."""
    channels = rows.select(CHANNELS).to_numpy()[-30:]
    return float(100.0 + channels.sum() / (30 * len(CHANNELS)) + 0.01 * rows["cycle"][-1])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one live engine a region and a served champion."""
    home = tmp_path_factory.mktemp("home")
    record_file(home, "turbofan").parent.mkdir(parents=True)
    record_file(home, "turbofan").write_text("{}")
    for region, (unit, cycles) in ENGINES.items():
        rows = telemetry(unit, cycles)
        requested = rows.filter(pl.col("cycle").is_in([cycles, max(1, cycles - 5)]))  # an older window stands there too
        table = sequences_to_table(sequence_windows(rows, at=requested), rows=requested)
        tables_of(home, region, "turbofan").replace(LIVE_SEQUENCES, pl.DataFrame(pl.from_arrow(table)))
    publish_rul(home / "serving" / "models", "1", bias=100.0, alias="champion", with_interval=True)
    serve("rul", home=home)
    yield home
    stop_all(home)


def predictions(capsys, **options):
    capsys.readouterr()
    command(as_json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_past_failures_of_the_rows_of_a_file_are_not_searched(tmp_path):
    with pytest.raises(UsageError, match=r"--similar compares units of a home, and --window has rows of a file"):
        command(window=tmp_path / "rows.csv", similar=True)


def test_every_live_engine_of_every_region_is_asked_at_its_latest_cycle(home, capsys):
    answer = predictions(capsys, home=home)
    assert (answer["model"], answer["version"]) == ("rul", "1")
    assert [row["unit"] for row in answer["predictions"]] == sorted(unit for unit, _ in ENGINES.values())
    for row, (unit, cycles) in zip(answer["predictions"], sorted(ENGINES.values()), strict=True):
        expected = expected_of(telemetry(unit, cycles))
        assert row["rul_cycles"] == pytest.approx(expected, rel=1e-5)
        assert row["lower_cycles"] == pytest.approx(expected - 10, rel=1e-5)
        assert row["upper_cycles"] == pytest.approx(expected + 10, rel=1e-5)


def test_named_engines_come_in_the_order_named(home, capsys):
    answer = predictions(capsys, home=home, unit=["FD001-L0003", "FD001-L0001"])
    assert [row["unit"] for row in answer["predictions"]] == ["FD001-L0003", "FD001-L0001"]


def test_an_engine_that_is_not_there_is_answered_with_those_that_are(home):
    with pytest.raises(UsageError, match=r"no engine 'X' \(there: FD001-L0001, FD001-L0002, FD001-L0003\)"):
        command(home=home, unit=["X"])


def test_without_json_a_table_is_printed(home, capsys):
    capsys.readouterr()
    command(home=home)
    output = capsys.readouterr().out
    assert "rul version 1" in output
    assert all(unit in output for unit, _ in ENGINES.values())


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_an_engine_in_a_file_is_asked_at_its_last_cycle(home, capsys, tmp_path, kind):
    rows = telemetry("mine", 35).drop("event_date", "row_hash").sample(fraction=1.0, shuffle=True, seed=1)
    path = tmp_path / f"mine.{kind}"
    getattr(rows, f"write_{kind}")(path)
    answer = predictions(capsys, home=home, window=path)
    assert [row["unit"] for row in answer["predictions"]] == ["mine"]
    assert answer["predictions"][0]["rul_cycles"] == pytest.approx(expected_of(telemetry("mine", 35)), rel=1e-5)


def test_a_server_named_by_its_url_is_asked(home, capsys):
    from sinet_pipelines.deployment.process import endpoints

    (endpoint,) = endpoints(home)
    assert predictions(capsys, home=home, url=endpoint["url"]) == predictions(capsys, home=home)


def test_a_model_without_an_interval_gives_null(tmp_path, home, capsys):
    publish_rul(home / "serving" / "models", "2", bias=100.0)
    capsys.readouterr()
    serve("rul", version="2", home=home, as_json=True)
    url = json.loads(capsys.readouterr().out)["url"]
    answer = predictions(capsys, home=home, url=url)
    assert answer["version"] == "2"
    assert [(row["lower_cycles"], row["upper_cycles"]) for row in answer["predictions"]] == [(None, None)] * 3
    assert predictions(capsys, home=home)["version"] == "1"  # the one beside it does not take the champion's place


def test_without_a_server_it_says_how_to_start_one(home, tmp_path):
    path = tmp_path / "mine.csv"
    telemetry("mine", 3).write_csv(path)
    other = tmp_path / "other"
    record_file(other, "turbofan").parent.mkdir(parents=True)
    record_file(other, "turbofan").write_text("{}")
    with pytest.raises(ServingError, match="start one with `sinet run` or `sinet serve`"):
        command(home=other, window=path)
    with pytest.raises(UsageError, match="no live engine in .*`sinet run`"):
        command(home=other)
    with pytest.raises(ServingError, match="no model server responds at http://127.0.0.1:1"):
        command(home=home, window=path, url="http://127.0.0.1:1")


def test_live_windows_are_those_of_the_telemetry(home):
    inputs = newest_rows(home, TURBOFAN).inputs
    by_hand = [expected_of(telemetry(unit, cycles)) for unit, cycles in sorted(ENGINES.values())]
    np.testing.assert_allclose(expected_rul(inputs, bias=100.0).ravel(), by_hand, rtol=1e-5)


def only(rows, unit="mine"):
    """Rows of a file of one's own under a name."""
    return rows.drop("event_date", "row_hash").with_columns(unit=pl.lit(unit))


def written(path, *engines):
    pl.concat(engines).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("absent", "found"),
    [
        (
            range(1, 31),
            r"engine mine lacks cycles 1-10 of its first 10 \(needed: half .*; add these rows to the file",
        ),
        (range(1, 7), r"lacks cycles 1-6 of its first 10"),
        ((1, 2, 4, 5, 7, 9), r"lacks cycles 1-2, 4-5, 7, 9 of its first 10"),
        (range(35, 46), r"lacks cycles 35-45 of its last 30"),
        ([*range(1, 9), *range(49, 60)], r"lacks cycles 1-8 of its first 10 and cycles 49-59 of its last 30"),
    ],
)
def test_an_engine_that_lacks_too_many_cycles_is_refused_with_the_cycles_and_the_cure(home, tmp_path, absent, found):
    rows = only(telemetry("mine", 60)).filter(~pl.col("cycle").is_in(list(absent)))
    path = written(tmp_path / "mine.csv", rows, only(telemetry("other", 40), "whole"))
    with pytest.raises(SourceError, match=found) as refused:
        command(home=home, window=path)
    assert refused.value.exit_code == 2
    assert "whole" not in str(refused.value)


def test_the_other_engines_of_a_file_are_predicted_when_named(home, capsys, tmp_path):
    late = only(telemetry("mine", 60)).filter(pl.col("cycle") > 30)
    path = written(tmp_path / "mine.csv", late, only(telemetry("whole", 40), "whole"))
    answer = predictions(capsys, home=home, window=path, unit=["whole"])
    assert [row["unit"] for row in answer["predictions"]] == ["whole"]
    assert answer["predictions"][0]["rul_cycles"] == pytest.approx(expected_of(telemetry("whole", 40)), rel=1e-5)


@pytest.mark.parametrize("absent", [(), (3,), (1, 2, 3, 4, 5), range(33, 42)])
def test_an_engine_that_lacks_as_few_cycles_as_training_saw_is_predicted(home, capsys, tmp_path, absent):
    rows = only(telemetry("mine", 60)).filter(~pl.col("cycle").is_in(list(absent)))
    answer = predictions(capsys, home=home, window=written(tmp_path / "mine.csv", rows))
    window = telemetry("mine", 60).tail(30).filter(~pl.col("cycle").is_in(list(absent)))
    assert answer["predictions"][0]["rul_cycles"] == pytest.approx(expected_of(window), rel=1e-5)


@pytest.mark.parametrize("cycles", [1, 2, 9, 10, 29])
def test_an_engine_younger_than_its_window_lacks_nothing(home, capsys, tmp_path, cycles):
    answer = predictions(capsys, home=home, window=written(tmp_path / "mine.csv", only(telemetry("mine", cycles))))
    assert answer["predictions"][0]["rul_cycles"] == pytest.approx(expected_of(telemetry("mine", cycles)), rel=1e-5)


def test_the_first_ten_and_the_last_thirty_cycles_are_enough(home, capsys, tmp_path):
    rows = only(telemetry("mine", 9000)).filter((pl.col("cycle") <= 10) | (pl.col("cycle") > 8970))
    answer = predictions(capsys, home=home, window=written(tmp_path / "mine.csv", rows))
    assert answer["predictions"][0]["rul_cycles"] == pytest.approx(expected_of(telemetry("mine", 9000)), rel=1e-5)


def test_a_live_engine_that_lacks_cycles_is_reported_and_its_neighbours_are_predicted(tmp_path, home, capsys):
    other, url = tmp_path / "other", predict_url(home)
    record_file(other, "turbofan").parent.mkdir(parents=True)
    record_file(other, "turbofan").write_text("{}")
    whole, late = telemetry("A", 40), telemetry("B", 60).filter(pl.col("cycle") > 30)
    for region, rows in (("EAST", whole), ("WEST", late), ("NULL_ISLAND", whole.clear())):
        requested = rows.tail(1)
        table = sequences_to_table(sequence_windows(rows, at=requested), rows=requested) if len(rows) else None
        store = tables_of(other, region, "turbofan")
        store.replace(LIVE_SEQUENCES, pl.DataFrame(table if table is not None else LIVE_SEQUENCES.schema.empty_table()))
    capsys.readouterr()
    command(home=other, url=url, as_json=True)
    out, err = capsys.readouterr()
    assert [row["unit"] for row in json.loads(out)["predictions"]] == ["A"]
    assert json.loads(out)["refused"] == [{"unit": "B", "reason": "lacks cycles 1-10 of its first 10"}]
    assert "no prediction for engine B: lacks cycles 1-10 of its first 10" in err
    with pytest.raises(SourceError, match="engine B lacks cycles 1-10 .*; land these cycles"):
        command(home=other, url=url, unit=["B"])


def predict_url(home):
    from sinet_pipelines.deployment.process import endpoints

    (champion,) = [one for one in endpoints(home) if one["version"] == "1"]
    return champion["url"]


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "\\[/]", "`x`|<script>"])
def test_a_name_with_markup_is_printed_as_it_is_spelled(home, capsys, tmp_path, name):
    path = written(tmp_path / "mine.csv", only(telemetry("mine", 20), name))
    capsys.readouterr()
    command(home=home, window=path)
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "shown"), [("\x1b[2Jgone", r"\x1b[2Jgone"), ("\u202ex", r"\u202ex"), ("a\nb", r"a\nb")]
)
def test_a_name_with_control_characters_is_refused_and_spelled_out(tmp_path, name, shown):
    written(tmp_path / "mine.csv", only(telemetry("mine", 20), name))
    ended = sinet("predict", "--window", str(tmp_path / "mine.csv"), "--url", "http://127.0.0.1:1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"it has unit '{shown}' in row 1 (20 rows; allowed: names without control characters)" in ended.stderr
    assert ended.stderr.removesuffix("\n").isprintable()


def sinet(*arguments):
    """The command in a process of its own."""
    start = [sys.executable, "-W", "ignore", "-c", "from sinet_pipelines.cli.main import main; main()"]
    return subprocess.run([*start, *arguments], capture_output=True, text=True)


def test_copies_of_rows_are_counted_once_and_reported(home, capsys, tmp_path):
    rows = only(telemetry("mine", 35))
    path = written(tmp_path / "mine.csv", rows, rows.head(3))
    capsys.readouterr()
    command(home=home, window=path, as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["predictions"][0]["rul_cycles"] == pytest.approx(
        expected_of(telemetry("mine", 35)), rel=1e-5
    )
    assert "3 copies of rows are left out" in err


def test_an_application_is_found_by_the_name_of_its_model():
    assert application_of(TURBOFAN.model) is TURBOFAN
    assert application_of(f"{TURBOFAN.name}_experiments") is TURBOFAN
    assert application_of("a_name_of_ones_own").served is not None


def test_a_model_that_no_endpoint_serves_is_named(home):
    with pytest.raises(ServingError, match="no model server was started"):
        command(home=home, model="turbofan_other")
    with pytest.raises(UsageError, match="serves 0 models"):
        command(home=home, model="turbofan_other", url=predict_url(home))


def test_a_warning_is_true_or_false_and_a_missing_number_null():
    assert [_value(value, WORN, "is_warned") for value in (1.0, 0.0, float("nan"))] == [True, False, None]
    assert _value(0.25, WORN, "worn_probability") == 0.25
    assert [_shown(value, 1) for value in (True, False, None, 12.34)] == ["yes", "no", "-", "12.3"]


def test_of_the_endpoints_of_two_applications_the_first_predicts_and_the_other_is_named(home, monkeypatch, capsys):
    from sinet_pipelines.cli import predict

    names = ("milling_machine_failure", "turbofan_remaining_useful_life")
    monkeypatch.setattr(predict, "_champions", lambda _: [home / name for name in names])
    assert predict._name_of_model(None, url=None, home=home) == names[1]
    assert "name another with --model (milling_machine_failure)" in capsys.readouterr().err
    assert predict._name_of_model(names[0], url=None, home=home) == names[0]
    monkeypatch.setattr(predict, "_champions", lambda _: [home / "a", home / "b"])
    assert predict._name_of_model(None, url=None, home=home) is None
