"""The compiled pass finds what Great Expectations finds, rule by rule, in one pass that a scan does not fill memory."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sinet_pipelines.schemas.contract import Column, Contract, DataClass
from sinet_pipelines.validation.compiled import broken_rows, check_rows
from sinet_pipelines.validation.doubt import keeps_its_rules
from sinet_pipelines.validation.expectations import results_of, rule_of, run_great_expectations
from sinet_pipelines.validation.rules import row_rules

DAY = date(2026, 3, 1)
INSTANT = pa.timestamp("us", tz="UTC")
CONTRACT = Contract(
    "validated_samples",
    "A sample.",
    DataClass.RAW,
    (
        Column("machine", pa.string(), "name of the machine"),
        Column("sample", pa.int32(), "number of the sample", "1", 0, 50),
        Column("state", pa.string(), "state", allowed=("on", "off", "50% idle #1")),
        Column("mode", pa.string(), "mode, if known", allowed=("a", "b"), nullable=True),
        Column("load_kw", pa.float64(), "load", "kW", 0.0, 100.0),
        Column("drift_kw", pa.float64(), "drift, if known", "kW", -1.0, None, nullable=True),
        Column("torque_nm", pa.float32(), "torque", "Nm", None, 7.5),
        Column("share", pa.float32(), "share", "1", 0.1, 0.3, nullable=True),
        Column("recorded_at", INSTANT, "instant"),
        Column("event_date", pa.date32(), "day of the drop"),
    ),
    key=("machine", "sample"),
)
AT_BOUNDS = [float(np.nextafter(np.float32(bound), np.float32(to))) for bound in (0.1, 0.3) for to in (0, bound, 1)]
FLOATS = [0.0, -0.0, 100.0, 7.5, -1.0, 1e308, float("inf"), float("-inf"), float("nan"), None]


def random_rows(seed, *, rows=None):
    """Rows of which each column has few or many faults: nulls, NaN, infinity, other days, equal keys."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 60)) if rows is None else rows

    def some(values, dtype):
        """Values of a column, of which a random share is drawn from all of them, and the others are the first."""
        share = rng.choice([0.0, 0.05, 0.5, 1.0])
        drawn = [values[int(place)] for place in rng.integers(0, len(values), n)]
        return pl.Series(
            [one if hit else values[0] for one, hit in zip(drawn, rng.random(n) < share, strict=True)], dtype=dtype
        )

    start = datetime(2026, 3, 1, tzinfo=UTC)
    instants = [start, start + timedelta(hours=23), start - timedelta(microseconds=1), start + timedelta(days=9), None]
    return pl.DataFrame(
        {
            "machine": some(["m", "M", "", "m ", "é", "<b>m</b>", None], pl.String),
            "sample": pl.Series(
                [None if rng.random() < 0.05 else int(x) for x in rng.integers(-2, 53, n)], dtype=pl.Int32
            ),
            "state": some(["on", "off", "50% idle #1", "ON", "", "Infinity", None], pl.String),
            "mode": some(["a", None, "c"], pl.String),
            "load_kw": some(FLOATS, pl.Float64),
            "drift_kw": some(FLOATS, pl.Float64),
            "torque_nm": some([*FLOATS, 7.4999995, 7.5000005], pl.Float32),
            "share": some([None, *AT_BOUNDS], pl.Float32),
            "recorded_at": some(instants, pl.Datetime("us", "UTC")),
            "event_date": some([DAY, DAY + timedelta(days=1), None], pl.Date),
            "unparsed": some([None, '{"load_kw": "<script>"}'], pl.String),
        }
    )


def without_batch(result):
    """A result of one rule as JSON; the ids of batch and suite are those of a run of the library."""
    found = result.to_json_dict()
    found["expectation_config"].pop("id", None)
    found["expectation_config"]["kwargs"].pop("batch_id", None)
    return found


def assert_equal_results(rows, result_format="COMPLETE"):
    ours = results_of(check_rows(rows, CONTRACT), result_format=result_format)
    theirs = run_great_expectations(rows, CONTRACT, result_format=result_format)
    assert (ours.success, ours.statistics) == (theirs.success, theirs.statistics)
    for one, other in zip(ours.results, theirs.results, strict=True):
        assert without_batch(one) == without_batch(other), rule_of(other)


@pytest.mark.parametrize("seed", range(8))
def test_the_results_on_random_rows_are_those_of_great_expectations(seed):
    assert_equal_results(random_rows(seed))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 160, 10))
def test_the_results_on_many_random_rows_are_those_of_great_expectations(first):
    for seed in range(first, first + 10):
        assert_equal_results(random_rows(seed))


@pytest.mark.parametrize("result_format", ["BOOLEAN_ONLY", "BASIC", "SUMMARY"])
def test_each_format_of_results_is_that_of_great_expectations(result_format):
    assert_equal_results(random_rows(3, rows=60), result_format)


def test_a_float32_is_compared_with_a_bound_that_no_float32_equals():
    rows = sound_rows(len(AT_BOUNDS)).with_columns(share=pl.Series(AT_BOUNDS, dtype=pl.Float32))
    assert_equal_results(rows)
    assert broken_rows(rows, CONTRACT)["row"].to_list() == [
        row for row, value in enumerate(AT_BOUNDS) if not 0.1 <= value <= 0.3
    ]


def test_a_table_without_rows_and_columns_without_values_have_equal_results():
    assert_equal_results(random_rows(0, rows=0))
    nothing = random_rows(1, rows=5).select(
        pl.lit(None, dtype).alias(name) for name, dtype in random_rows(1).schema.items()
    )
    assert nothing.height == 1
    assert_equal_results(pl.concat([nothing] * 5))


def test_a_scan_of_a_file_has_the_result_of_its_rows(tmp_path):
    rows = random_rows(5, rows=500)
    path = tmp_path / "50% of #1.parquet"
    rows.write_parquet(path, row_group_size=7)
    scanned, at_once = check_rows(pl.scan_parquet(path, glob=False), CONTRACT), check_rows(rows, CONTRACT)
    assert (scanned.rows, scanned.missing) == (at_once.rows, at_once.missing)
    assert scanned.pairs().rows() == at_once.pairs().rows()


def test_rows_of_a_scan_keep_their_numbers_where_keys_far_apart_are_equal_and_hashes_of_others_too(
    tmp_path, monkeypatch
):
    from sinet_pipelines.validation import compiled

    rows = sound_rows(20_000).with_columns(machine=pl.int_range(pl.len()).cast(pl.String), sample=pl.lit(1, pl.Int32))
    rows = pl.concat([rows, rows[[7, 15_000]].with_columns(load_kw=2.0), rows[[3]].with_columns(load_kw=500.0)])
    whole = compiled._key_hash  # noqa: SLF001
    monkeypatch.setattr(compiled, "_key_hash", lambda unique: whole(unique) % 5_000)
    rows.write_parquet(tmp_path / "rows.parquet", row_group_size=100)
    found = check_rows(pl.scan_parquet(tmp_path / "rows.parquet"), CONTRACT).pairs()
    repeated = found.filter(pl.col("rule").str.starts_with("another row"))["row"].to_list()
    assert repeated == [3, 7, 15_000, 20_000, 20_001, 20_002]
    assert found.filter(pl.col("rule").str.starts_with("load_kw"))["row"].to_list() == [20_002]


def test_equal_keys_far_apart_are_found_and_a_missing_part_of_a_key_equals_nothing():
    rows = sound_rows(40)
    same = rows[[3]].with_columns(load_kw=50.0)
    unknown = rows[[4, 4]].with_columns(machine=pl.lit(None, pl.String))
    found = broken_rows(pl.concat([rows, unknown, same]), CONTRACT)
    repeated = found.filter(pl.col("rule").str.starts_with("another row"))
    assert repeated["row"].to_list() == [3, 42]


def test_keys_whose_hashes_are_equal_but_whose_values_differ_do_not_conflict(monkeypatch):
    from sinet_pipelines.validation import compiled

    monkeypatch.setattr(compiled, "_key_hash", lambda unique: pl.col("sample").is_null().cast(pl.UInt64))
    rows = sound_rows(10)
    assert check_rows(rows, CONTRACT).passed


def test_a_table_with_another_name_in_each_of_its_rows_is_checked_like_any_other():
    n = 200_000
    rows = (
        sound_rows(1)
        .select(pl.all().repeat_by(n).explode())
        .with_columns(machine=pl.int_range(pl.len()).cast(pl.String))
    )
    broken = broken_rows(pl.concat([rows, rows[[n - 1]]]), CONTRACT)
    assert broken.rows() == [
        (row, "another row has the same machine and sample but other values") for row in (n - 1, n)
    ]


def test_sound_rows_break_no_rule():
    checked = check_rows(sound_rows(40), CONTRACT)
    assert checked.passed
    assert checked.counts == (0,) * len(row_rules(CONTRACT))


def test_a_row_keeps_the_rules_of_its_values_exactly_where_the_pass_finds_none_of_them_broken():
    rows = random_rows(11, rows=300)
    alone = {rule.text for rule in row_rules(CONTRACT)[:-3]}
    broken = check_rows(rows, CONTRACT).pairs().filter(pl.col("rule").is_in(alone))["row"].unique().sort().to_list()
    kept = rows.select(keeps_its_rules(CONTRACT)).to_series()
    assert (~kept).arg_true().to_list() == broken


def sound_rows(n):
    return pl.DataFrame(
        {
            "machine": ["m"] * n,
            "sample": pl.Series(range(n), dtype=pl.Int32),
            "state": ["on"] * n,
            "mode": pl.Series([None] * n, dtype=pl.String),
            "load_kw": [1.0] * n,
            "drift_kw": pl.Series([None] * n, dtype=pl.Float64),
            "torque_nm": pl.Series([1.0] * n, dtype=pl.Float32),
            "share": pl.Series([None] * n, dtype=pl.Float32),
            "recorded_at": pl.Series([datetime(2026, 3, 1, 5, tzinfo=UTC)] * n, dtype=pl.Datetime("us", "UTC")),
            "event_date": [DAY] * n,
            "unparsed": pl.Series([None] * n, dtype=pl.String),
        }
    )
