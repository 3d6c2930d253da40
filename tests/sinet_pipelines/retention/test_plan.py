"""The plan: what is needed stays, what is young stays, what could not be judged stays; everything else goes."""

from datetime import UTC, datetime, timedelta

import pytest

from sinet_pipelines.retention.plan import Needs, Thing, first_looks, plan
from sinet_pipelines.retention.policy import Kind, Policy

NOW = datetime(2026, 3, 1, tzinfo=UTC)
POLICY = Policy()


def thing(kind=Kind.BLOBS, name="EAST/a", *, days=400, size=10):
    return Thing(kind, name, size, NOW - timedelta(days=days))


def decided(one, *, needs=None, seen=None, now=NOW):
    (decision,) = plan([one], needs or Needs(), seen=seen or {}, policy=POLICY, now=now).decisions
    return decision


@pytest.mark.parametrize("kind", Kind)
def test_what_is_needed_stays_however_old_it_is(kind):
    one = thing(kind)
    found = decided(one, needs=Needs({one.key: ["model rul@3", "endpoint WEST/rul"]}), seen={one.key: one.unused_since})
    assert found.reasons == ("model rul@3", "endpoint WEST/rul")


@pytest.mark.parametrize("kind", Kind)
def test_what_nothing_needs_goes_once_its_period_is_over(kind):
    period = POLICY.period(kind)
    one = Thing(kind, "a", 1, NOW - period)
    seen = {one.key: one.unused_since}
    assert decided(one, seen=seen).goes
    assert not decided(one, seen=seen, now=NOW - timedelta(seconds=1)).goes


def test_an_old_blob_goes_only_after_it_was_seen_without_a_need_for_the_whole_period():
    one = thing()
    assert decided(one).reasons == ("unneeded for less than 30 days",)
    assert not decided(one, seen={one.key: NOW - timedelta(days=29)}).goes
    assert decided(one, seen={one.key: NOW - timedelta(days=30)}).goes


def test_a_blob_that_was_written_again_begins_its_period_again():
    one = thing(days=1)
    assert not decided(one, seen={one.key: NOW - timedelta(days=300)}).goes


def test_a_kind_that_is_held_stays_with_the_reason():
    one = thing()
    found = decided(one, needs=Needs({}, {Kind.BLOBS: "run 1234 is in progress"}), seen={one.key: one.unused_since})
    assert found.reasons == ("run 1234 is in progress",)


def test_the_first_look_is_kept_while_nothing_needs_a_thing_and_dropped_by_a_need():
    one, other = thing(), thing(Kind.OUTPUT, "run")
    first = first_looks([one, other], Needs(), seen={}, now=NOW)
    assert first == {one.key: NOW.isoformat()}
    later = NOW + timedelta(days=3)
    seen = {one.key: NOW}
    assert first_looks([one], Needs(), seen=seen, now=later) == first
    assert first_looks([one], Needs({one.key: ["model rul@3"]}), seen=seen, now=later) == {}


def test_while_needs_cannot_be_read_no_period_begins_and_one_that_began_stays():
    one, other = thing(), thing(name="EAST/b")
    unread = Needs({}, {Kind.BLOBS: "MLflow's registry could not be read"}, unread=frozenset({Kind.BLOBS}))
    assert first_looks([one, other], unread, seen={one.key: NOW}, now=NOW) == {one.key: NOW.isoformat()}


def test_a_first_look_in_the_future_begins_again():
    one = thing()
    assert first_looks([one], Needs(), seen={one.key: NOW + timedelta(days=9)}, now=NOW) == {one.key: NOW.isoformat()}


def test_rows_count_things_and_bytes_by_kind_and_reason_those_that_go_last():
    things = [thing(Kind.OUTPUT, name, size=size) for name, size in (("a", 1), ("b", 2), ("c", 4))]
    needs = Needs({things[0].key: ["backfill 3"]})
    rows = plan(things, needs, seen={}, policy=POLICY, now=NOW).rows()
    assert [(row.things, row.size, row.kept_because) for row in rows] == [(1, 1, "backfill 3"), (2, 6, "")]


def test_json_names_everything_that_goes_and_why_the_rest_stays():
    going, kept = thing(Kind.OUTPUT, "a"), thing(Kind.OUTPUT, "b")
    found = plan([going, kept], Needs({kept.key: ["backfill 3"]}), seen={}, policy=POLICY, now=NOW).as_json()
    assert [one["name"] for one in found["going"]] == ["a"]
    assert [(one["name"], one["because"]) for one in found["kept"]] == [("b", ["backfill 3"])]
    assert sum(row["bytes"] for row in found["summary"]) == 20
