"""Days of a backfill that fail their contract: named at the end whatever was before, and counted with their time."""

import json
import shutil

import dagster as dg
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP
from sinet_pipelines.backfills.journal import request
from sinet_pipelines.cli.backfill_run import resume
from tests.inventory import EAST
from tests.sinet_pipelines.cli.backfill.conftest import BOTH, VALIDATED, made, texts
from tests.zones import landing_zone


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The place of a home that the first test makes and all tests copy."""
    return tmp_path_factory.mktemp("spoilt") / "home"


@pytest.fixture
def spoilt(place, days, make, prepared):
    """The newest day, which was good, now has a late drop that breaks the contract; returns the record of its rows."""
    if not prepared.exists():
        make(BOTH, first=3)
        zone = landing_zone(place, TELEMETRY)
        rows = zone.read_day(EAST.name, days[3]).rows.select(column.name for column in DROP.columns)
        zone.land(EAST.name, days[3], name="spoilt", rows=rows.with_columns(pl.lit(-1).cast(pl.Int64).alias("cycle")))
        shutil.copytree(place, prepared)
    shutil.rmtree(place)
    shutil.copytree(prepared, place)
    return made(place, VALIDATED)[days[3].isoformat()]


def named(days):
    return {"EAST/turbofan/validated_telemetry": texts([days[3]])}


@pytest.mark.slow
def test_a_good_day_that_a_late_drop_spoils_ends_the_backfill_with_1_and_is_named(place, days, make, plan, spoilt):
    code, facts = make(BOTH, first=3)
    assert (code, facts["state"], facts["refused"], facts["failed"]) == (1, "done", named(days), {})
    assert made(place, VALIDATED)[days[3].isoformat()] == spoilt  # its rows stay
    again = plan(BOTH, (days[3], days[3]))
    assert (again["runs"], again["refused"]) == (0, named(days))


@pytest.mark.slow
def test_with_all_a_good_day_that_fails_now_is_tried_once(days, make, spoilt):
    code, facts = make(BOTH, first=3, redo=True)
    assert (code, facts["state"], facts["refused"], facts["failed"]) == (1, "done", named(days), {})
    assert len(facts["runs"]) == 1


@pytest.mark.slow
def test_a_day_that_was_refused_before_a_pause_is_named_at_the_end(place, days, make, at_run, capfd, spoilt):
    at_run(1, before=lambda _: request(place, 2, "pause"))
    assert make(BOTH, first=2, days_per_run=1)[1]["state"] == "paused"
    assert resume(None, home=place, project=None, as_json=True) == 1
    facts = json.loads(capfd.readouterr().out)
    assert (facts["state"], facts["refused"]) == ("done", named(days))


@pytest.mark.slow
def test_a_run_whose_only_day_is_refused_counts_with_its_whole_time(place, make, spoilt):
    _, facts = make(BOTH, first=3)
    (run,) = facts["runs"]
    with dg.DagsterInstance.from_config(str(place / "dagster")) as instance:
        (ended,) = instance.get_run_records(dg.RunsFilter(run_ids=[run["run_id"]]))
    assert run["status"] == "FAILURE"
    assert run["amounts"]["seconds"] >= ended.end_time - ended.start_time
