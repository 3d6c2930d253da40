"""What the event log says an asset holds and was made from, day by day, newest first."""

from datetime import date, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import DagsterEvent, DagsterEventType

from resources.materializations.day_log import refused_by
from resources.materializations.versions import (
    INPUTS_ENTRY,
    INPUTS_TAG,
    VERSION_TAG,
    days_made,
    days_refused,
    fingerprint,
    inputs_now,
    total_of,
    version_of,
)
from sinet_pipelines.applications.turbofan.schemas.events import TRUTH_EVENTS
from sinet_pipelines.storage.tables import content_hash, empty

KEY, OTHER = dg.AssetKey(["EAST", "rows"]), dg.AssetKey(["WEST", "rows"])
DAY = date(2026, 3, 1)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def make(instance, *, key=KEY, day=None, version="v", inputs="i"):
    tags = {VERSION_TAG: version, INPUTS_TAG: inputs}
    event = dg.AssetMaterialization(key, partition=str(day) if day else None, tags=tags)
    instance.report_runless_asset_event(event)


def judge(instance, *, day, passed, inputs="i"):
    """One result of a run of its own, whose id is returned: Dagster refuses two results without a run about one day."""
    values = {INPUTS_ENTRY: dg.MetadataValue.text(inputs)}
    found = dg.AssetCheckEvaluation(
        asset_key=KEY, check_name="holds", passed=passed, partition=day and str(day), metadata=values
    )
    return report(instance, DagsterEventType.ASSET_CHECK_EVALUATION, found)


def report(instance, kind, data):
    run = instance.create_run_for_job(dg.JobDefinition(name="any", graph_def=dg.GraphDefinition("any")))
    instance.report_dagster_event(DagsterEvent(kind.value, "any", event_specific_data=data), run.run_id)
    return run.run_id


def test_a_total_counts_each_day_as_it_was_made_last_and_days_that_say_nothing_not_at_all(instance):
    for day, found in ((DAY, {"bad": 7}), (DAY, {"bad": 2}), (DAY + timedelta(days=1), {"bad": 3})):
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=str(day), metadata=found))
    make(instance, day=DAY + timedelta(days=2))
    assert total_of(instance, KEY, "bad") == 5
    assert total_of(instance, OTHER, "bad") == 0


def test_a_day_is_what_it_was_made_last(instance):
    make(instance, day=DAY, version="old")
    make(instance, day=DAY, version="new")
    make(instance, day=DAY + timedelta(days=1), version="next")
    assert {day: tags[VERSION_TAG] for day, tags in days_made(instance, KEY).items()} == {
        DAY: "new",
        DAY + timedelta(days=1): "next",
    }
    assert days_made(instance, OTHER) == {}


def test_more_days_than_one_page_holds_are_all_seen(instance, monkeypatch):
    monkeypatch.setattr("resources.materializations.day_log.PAGE", 3)
    days = [DAY + timedelta(days=ahead) for ahead in range(7)]
    for day in days:
        make(instance, day=day)
        judge(instance, day=day, passed=False)
    assert sorted(days_made(instance, KEY)) == days
    assert sorted(days_refused(instance, KEY, "holds")) == days


def test_a_day_is_refused_when_its_newest_check_failed_and_says_on_what_inputs(instance):
    judge(instance, day=DAY, passed=True)
    judge(instance, day=DAY, passed=False, inputs="bad")
    judge(instance, day=DAY + timedelta(days=1), passed=False)
    judge(instance, day=DAY + timedelta(days=1), passed=True)
    assert days_refused(instance, KEY, "holds") == {DAY: "bad"}


def test_a_day_that_a_run_refused_is_its_own_until_a_later_result_passes(instance):
    second, third = DAY + timedelta(days=1), DAY + timedelta(days=2)
    ours = [judge(instance, day=DAY, passed=False), judge(instance, day=None, passed=False)]
    ours += [judge(instance, day=day, passed=False) for day in (second, third)]
    judge(instance, day=third, passed=True)
    assert refused_by(instance, "holds", ours) == {(KEY, DAY), (KEY, second)}
    other = judge(instance, day=second, passed=False)
    assert refused_by(instance, "holds", ours) == {(KEY, DAY), (KEY, second)}
    assert refused_by(instance, "holds", [other]) == {(KEY, second)}
    assert refused_by(instance, "other", ours) == refused_by(instance, "holds", []) == set()


def test_a_check_that_is_only_planned_says_nothing(instance):
    judge(instance, day=DAY, passed=False)
    planned = AssetCheckEvaluationPlanned(asset_key=KEY, check_name="holds")
    report(instance, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned)
    assert list(days_refused(instance, KEY, "holds")) == [DAY]


def test_the_version_of_an_asset_with_days_is_that_of_all_of_them(instance):
    assert version_of(instance, KEY) == ""
    make(instance, day=DAY, version="a")
    first = version_of(instance, KEY)
    make(instance, day=DAY + timedelta(days=1), version="b")
    second = version_of(instance, KEY)
    make(instance, day=DAY + timedelta(days=1), version="b", inputs="other")
    assert first != second == version_of(instance, KEY)  # what it was made from is no part of what it holds


def test_a_day_without_rows_adds_nothing_to_the_version(instance):
    make(instance, day=DAY, version="a")
    before = version_of(instance, KEY)
    make(instance, day=DAY + timedelta(days=1), version=content_hash(empty(TRUTH_EVENTS), TRUTH_EVENTS))
    assert version_of(instance, KEY) == before


def test_what_an_asset_would_be_made_from_is_its_code_and_what_its_upstreams_hold(instance):
    make(instance, key=OTHER, version="a")
    before = inputs_now(instance, [KEY, OTHER], code_version="1")
    assert inputs_now(instance, [OTHER, KEY], code_version="1") == before
    assert inputs_now(instance, [KEY, OTHER], code_version="2") != before
    make(instance, key=OTHER, version="b")
    assert inputs_now(instance, [KEY, OTHER], code_version="1") != before


def test_a_fingerprint_tells_its_parts_apart():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a", 1) == fingerprint("a", "1")
    assert len(fingerprint()) == 16
