"""The as-of join on both axes: what arrived after the moment of prediction is not used."""

import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from sinet_pipelines.errors import UsageError
from sinet_pipelines.features.two_axes import join_as_known, part_of_pairs

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
VERSIONS = {
    "unit": pl.String,
    "recorded_at": INSTANT,
    "mean": pl.Int64,
    "known_from": INSTANT,
    "known_until": INSTANT,
    "cycle": pl.Int64,
}
ENTITIES = {"unit": pl.String, "event_timestamp": INSTANT, "as_known_at": INSTANT}


def at(hour):
    return None if hour is None else START + timedelta(hours=hour)


def versions(*rows):
    """Versions: unit, hour, value, known from and until, and the cycle, which orders rows of one hour."""
    found = [(u, at(t), m, at(f), at(k), *(cycle or [0])) for u, t, m, f, k, *cycle in rows]
    return pl.DataFrame(found, schema=VERSIONS, orient="row")


def entities(*rows):
    return pl.DataFrame([(u, at(t), at(k)) for u, t, k in rows], schema=ENTITIES, orient="row")


def brute_force(entity, rows, ttl):
    """One entity against every version, by the words of the docstring."""
    unit, time, moment = entity
    if time is None or moment is None:
        return None
    known = [
        (recorded, cycle, since, value)
        for of, recorded, value, since, until, cycle in rows
        if of == unit and recorded <= time and since <= moment and (until is None or until > moment)
        if ttl is None or time - recorded <= ttl
    ]
    return max(known, default=(None,))[-1]


def drawn_case(seed):
    """Versions of three units: rows that arrive late, are corrected, sent twice, withdrawn and put back."""
    draw = random.Random(seed)  # noqa: S311 - a seeded case, no secret
    rows = []
    for unit in "abc":
        for cycle in range(draw.randint(0, 6)):
            recorded = cycle // draw.choice([1, 1, 2])  # of two cycles at one instant the later one counts
            since = recorded + draw.choice([0, 0, 0, 1, 4, 9])
            for _ in range(draw.randint(1, 3)):  # the row, and its corrections
                until = draw.choice([None, since + draw.randint(1, 5)])
                rows.append((unit, recorded, draw.randint(0, 10**9), since, until, cycle))
                if until is None:
                    break
                since = until + draw.choice([0, 0, 2])  # with a gap: it was withdrawn and put back
    draw.shuffle(rows)
    wanted = [
        (draw.choice("abcd"), draw.choice([None, *range(-1, 8)]), draw.choice([None, *range(-1, 16)]))
        for _ in range(12)
    ]
    return wanted, rows, draw.choice([None, None, 2])


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_the_join_on_both_axes_equals_every_entity_against_every_version(first):
    for seed in range(first, first + 100):
        wanted, rows, ttl = drawn_case(seed)
        found = join_as_known(
            entities(*wanted),
            versions(*rows),
            columns=["mean"],
            tie_breaks=["cycle"],
            ttl=None if ttl is None else timedelta(hours=ttl),
        )
        assert found["mean"].to_list() == [brute_force(one, rows, ttl) for one in wanted], seed
        assert found.drop("mean").equals(entities(*wanted))


def test_a_late_correction_is_not_used_before_it_arrives():
    rows = versions(("a", 0, 1, 0, 30), ("a", 0, 2, 30, None))
    found = join_as_known(entities(("a", 5, 24), ("a", 5, 30)), rows, columns=["mean"])
    assert found["mean"].to_list() == [1, 2]


def test_a_version_that_was_never_known_leaves_its_forerunner_in_use():
    rows = versions(("a", 10, 1, 10, None), ("a", 20, 2, None, None))
    found = join_as_known(entities(("a", 20, 20), ("a", 20, 9)), rows, columns=["mean"])
    assert found["mean"].to_list() == [1, None]


@pytest.mark.parametrize("known_from", [0, 30])
def test_a_version_some_nanoseconds_after_an_entity_is_not_used(known_from):
    instants = pl.Series([9_000, 10_500, 10_000]).cast(pl.Datetime("ns", "UTC"))
    rows = versions(("a", 0, 1, 0, None), ("a", 0, 2, 0, None), ("a", 0, 3, known_from, None))
    rows = rows.with_columns(instants.alias("recorded_at"))
    wanted = entities(("a", 0, 24)).with_columns(pl.Series([10]).cast(INSTANT).alias("event_timestamp"))
    found = join_as_known(wanted, rows, columns=["mean"])
    assert found["mean"].to_list() == [3 if known_from == 0 else 1]


def test_the_number_of_pairs_of_a_part_does_not_wrap():
    counts = pl.DataFrame({"pairs": [2**31, 2**31, 5]}, schema={"pairs": pl.UInt32})
    assert counts.select(part_of_pairs())["part"].to_list() == [536, 1073, 1073]


def test_a_row_that_arrives_late_leaves_its_forerunner_in_use_until_then():
    rows = versions(("a", 0, 1, 1, None), ("a", 2, 2, 40, None))
    found = join_as_known(entities(("a", 3, 24), ("a", 3, 48)), rows, columns=["mean"])
    assert found["mean"].to_list() == [1, 2]


def test_of_rows_of_one_instant_the_later_cycle_counts_whichever_arrived_last():
    rows = versions(("a", 0, 8, 10, None, 8), ("a", 0, 7, 11, None, 7))
    found = join_as_known(entities(("a", 5, 12), ("a", 5, 10)), rows, columns=["mean"], tie_breaks=["cycle"])
    assert found["mean"].to_list() == [8, 8]


def test_the_pairs_of_many_corrected_units_have_no_values(monkeypatch):
    widest = []
    filtered = pl.DataFrame.filter
    monkeypatch.setattr(pl.DataFrame, "filter", lambda one, *by: widest.append(one.width) or filtered(one, *by))
    rows = versions(("a", 0, 1, 0, 30), ("a", 0, 2, 30, None)).with_columns(pl.lit(1).alias(f"x{n}") for n in range(50))
    names = ["mean", *(f"x{n}" for n in range(50))]
    found = join_as_known(entities(("a", 5, 24)), rows, columns=names)
    assert found["mean"].to_list() == [1]
    assert widest[-1] < 20  # the last filter is that of the pairs


def test_a_row_that_was_withdrawn_counts_for_the_moments_before():
    rows = versions(("a", 0, 1, 1, 10))
    found = join_as_known(entities(("a", 3, 9), ("a", 3, 10)), rows, columns=["mean"])
    assert found["mean"].to_list() == [1, None]


def test_entities_without_a_moment_are_refused():
    with pytest.raises(UsageError, match="no instants as_known_at"):
        join_as_known(entities(("a", 0, 0)).drop("as_known_at"), versions(), columns=["mean"])


def test_versions_without_their_instants_are_refused():
    with pytest.raises(UsageError, match="lack known_from, known_until"):
        join_as_known(entities(("a", 0, 0)), versions().drop("known_from", "known_until"), columns=["mean"])
