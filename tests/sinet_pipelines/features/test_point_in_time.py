"""The as-of join: it sees no future, forgets what is too old, and settles ties whatever the order of rows."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.errors import UsageError
from sinet_pipelines.features.point_in_time import point_in_time_join

START = datetime(2026, 3, 1, tzinfo=UTC)
UTC_US = pl.Datetime("us", "UTC")
FEATURES = {"unit": pl.String, "recorded_at": UTC_US, "created_at": UTC_US, "mean": pl.Float32, "slope": pl.Int32}
ENTITIES = {"unit": pl.String, "event_timestamp": UTC_US, "target": pl.Int32}


def at(second):
    return None if second is None else START + timedelta(seconds=second)


def entities(*rows):
    return pl.DataFrame([(unit, at(s), i) for i, (unit, s) in enumerate(rows)], schema=ENTITIES, orient="row")


def features(*rows):
    return pl.DataFrame([(u, at(t), at(c), m, s) for u, t, c, m, s in rows], schema=FEATURES, orient="row")


def brute_force(requested, known, *, ttl):
    """Every entity against every row, by the words of the docstring."""
    answers = []
    for unit, time, _ in requested.iter_rows():
        seen = [
            row
            for row in known.iter_rows()
            if unit is not None and time is not None and row[1] is not None
            if row[0] == unit and row[1] <= time and (ttl is None or time - row[1] <= ttl)
        ]
        lowest = at(-(10**6))
        seen.sort(key=lambda row: (row[1], row[2] or lowest, *((v is not None, v or 0) for v in row[3:])))
        answers.append(seen[-1][3:] if seen else (None, None))
    return answers


units = st.sampled_from(["a", "b", "c", None])
seconds = st.one_of(st.none(), st.integers(-3, 6))  # few instants, so that ties, late rows and futures are common
numbers = st.one_of(st.none(), st.integers(0, 2))
feature_rows = st.lists(st.tuples(units, seconds, seconds, numbers, numbers), max_size=25)
entity_rows = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "unseen", None]), seconds), max_size=12)
ttls = st.one_of(st.none(), st.integers(0, 5).map(lambda s: timedelta(seconds=s)))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(entity_rows, feature_rows, ttls)
def test_the_join_equals_every_entity_against_every_row(wanted, known, ttl):
    wanted, known = entities(*wanted), features(*known)
    joined = point_in_time_join(wanted, known, columns=["mean", "slope"], created_time="created_at", ttl=ttl)
    assert joined.select("mean", "slope").rows() == brute_force(wanted, known, ttl=ttl)
    assert joined.select(wanted.columns).equals(wanted)


@settings(max_examples=60, deadline=None)
@given(entity_rows, feature_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_answer(wanted, known, random):
    shuffled = random.sample(known, len(known))
    answers = [
        point_in_time_join(entities(*wanted), features(*rows), columns=["mean", "slope"], created_time="created_at")
        for rows in (known, shuffled)
    ]
    assert answers[0].equals(answers[1])


@settings(max_examples=60, deadline=None)
@given(entity_rows, feature_rows, st.integers(-3, 6))
def test_rows_of_the_future_change_no_answer(wanted, known, now):
    wanted = entities(*[(unit, None if second is None else min(second, now)) for unit, second in wanted])
    past = [row for row in known if row[1] is None or row[1] <= now]
    with_future, without = (point_in_time_join(wanted, features(*rows), columns=["mean"]) for rows in (known, past))
    assert with_future.equals(without)


def test_a_row_of_the_very_instant_is_seen():
    joined = point_in_time_join(entities(("a", 5)), features(("a", 5, 9, 1.0, 0)), columns=["mean"])
    assert joined["mean"].to_list() == [1.0]


def test_a_row_exactly_as_old_as_the_ttl_is_seen_and_an_older_one_is_not():
    known = features(("a", 0, 0, 1.0, 0))
    joined = point_in_time_join(entities(("a", 60), ("a", 61)), known, columns=["mean"], ttl=timedelta(seconds=60))
    assert joined["mean"].to_list() == [1.0, None]


def test_of_rows_of_one_instant_the_last_created_wins():
    known = features(("a", 0, 7, 7.0, 0), ("a", 0, 9, 9.0, 0), ("a", 0, 8, 8.0, 0))
    joined = point_in_time_join(entities(("a", 3)), known, columns=["mean"], created_time="created_at")
    assert joined["mean"].to_list() == [9.0]


def test_tie_breaks_order_rows_before_their_values_do():
    known = features(("a", 0, 0, 9.0, 1), ("a", 0, 0, 1.0, 2))
    joined = point_in_time_join(entities(("a", 0)), known, columns=["mean"], tie_breaks=["slope"])
    assert joined["mean"].to_list() == [1.0]


def test_a_newer_row_with_a_null_hides_an_older_value():
    known = features(("a", 0, 0, 1.0, 0), ("a", 1, 0, None, 0))
    joined = point_in_time_join(entities(("a", 2)), known, columns=["mean"])
    assert joined["mean"].to_list() == [None]


def test_instants_of_other_zones_and_units_are_the_same_instants():
    known = features(("a", 0, 0, 1.0, 0), ("a", 3600, 0, 2.0, 0))
    berlin = at(3599).astimezone(ZoneInfo("Europe/Berlin"))
    for dtype in (pl.Datetime("ms", "Europe/Berlin"), pl.Datetime("us", "Europe/Berlin"), pl.Datetime("ns", "UTC")):
        requested = pl.DataFrame({"unit": ["a"], "event_timestamp": pl.Series([berlin]).cast(dtype)})
        assert point_in_time_join(requested, known, columns=["mean"])["mean"].to_list() == [1.0]


def test_a_time_without_a_zone_is_utc():
    requested = pl.DataFrame({"unit": ["a"], "event_timestamp": [at(1).replace(tzinfo=None)]})
    known = features(("a", 1, 0, 1.0, 0), ("a", 2, 0, 2.0, 0))
    assert point_in_time_join(requested, known, columns=["mean"])["mean"].to_list() == [1.0]


def test_a_nanosecond_too_early_sees_nothing():
    nanoseconds = pl.Series([1_000_000_000 - 1, 1_000_000_000]).cast(pl.Datetime("ns", "UTC"))
    requested = pl.DataFrame({"unit": ["a", "a"], "event_timestamp": nanoseconds})
    known = pl.DataFrame({"unit": ["a"], "recorded_at": pl.Series([1_000_000]).cast(UTC_US), "mean": [1.0]})
    assert point_in_time_join(requested, known, columns=["mean"])["mean"].to_list() == [None, 1.0]


def test_the_greatest_ttl_there_is_limits_nothing():
    joined = point_in_time_join(entities(("a", 9)), features(("a", 0, 0, 1.0, 0)), columns=["mean"], ttl=timedelta.max)
    assert joined["mean"].to_list() == [1.0]


def test_several_keys_together_name_an_entity():
    known = features(("a", 0, 0, 1.0, 1), ("a", 0, 0, 2.0, 2))
    requested = entities(("a", 5), ("a", 5), ("a", 5)).with_columns(slope=pl.Series([2, 1, 3], dtype=pl.Int64))
    joined = point_in_time_join(requested, known, on=["unit", "slope"], columns=["mean"])
    assert joined["mean"].to_list() == [2.0, 1.0, None]


def test_types_of_the_values_stay_where_nothing_is_found():
    joined = point_in_time_join(entities(("unseen", 5)), features(), columns=["mean", "slope"])
    assert dict(joined.schema) == {**ENTITIES, "mean": pl.Float32, "slope": pl.Int32}


def test_a_missing_column_is_named():
    with pytest.raises(UsageError, match="the features lack spread"):
        point_in_time_join(entities(("a", 0)), features(), columns=["spread"])


def test_a_column_that_the_entities_have_already_is_refused():
    with pytest.raises(UsageError, match="slope would occur twice"):
        point_in_time_join(entities(("a", 0)).with_columns(slope=1), features(), columns=["slope"])


def test_a_day_is_no_instant():
    requested = entities(("a", 0)).with_columns(pl.col("event_timestamp").cast(pl.Date))
    with pytest.raises(UsageError, match="is no instant"):
        point_in_time_join(requested, features(), columns=["mean"])


def test_a_key_of_another_type_is_refused():
    requested = entities(("a", 0)).with_columns(unit=pl.lit(1))
    with pytest.raises(UsageError, match="key unit is Int32 in the entities and String in the features"):
        point_in_time_join(requested, features(), columns=["mean"])


def test_a_ttl_below_zero_is_refused():
    with pytest.raises(UsageError, match="excludes every row"):
        point_in_time_join(entities(("a", 0)), features(), columns=["mean"], ttl=timedelta(seconds=-1))


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("first", ["a", None])
def test_rows_in_runs_of_a_key_have_the_answers_of_rows_in_any_order(length, first):
    runs = [first, "b", None, "a", "unseen", "c", "a"]
    known = features(*[(unit, n % 5, 0, n, n) for n, unit in enumerate(u for u in runs for _ in range(length))])
    wanted = entities(*[(unit, second) for unit in ("c", "a", None, "b", "other") for second in (4, 0, None, 2)])
    joined = point_in_time_join(wanted, known, columns=["mean", "slope"], created_time="created_at")
    assert joined.select("mean", "slope").rows() == brute_force(wanted, known, ttl=None)
