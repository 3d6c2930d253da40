"""The real pages and the real daemon on a walked home: backfills, arrivals, and runs executed again."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from tests.conftest import link_project
from tests.inventory import EAST, REGIONS
from tests.schedules.pages import AGAIN, BACKFILL, BACKFILL_STATE, LIMIT_S, dagster_dev
from tests.walk.conftest import environment_of, run_sinet
from tests.zones import landing_zone

pytestmark = pytest.mark.slow
APPLICATION = "turbofan"
CHAIN = ("raw_telemetry", "validated_telemetry", "window_features")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, small_cmapss):
    """A checkout of links whose current home was walked by `sinet run`; its model server ends with the module."""
    folder = link_project(tmp_path_factory.mktemp("daemon") / "checkout")
    run_sinet(folder, "run", "--data", small_cmapss)
    yield folder
    run_sinet(folder, "stop", check=False)


@pytest.fixture(scope="module")
def pages(checkout):
    """A bare `dagster dev` at the root: no variable names the home, `.sinet/current` does."""
    environment = environment_of(checkout)
    del environment["SINET_PROJECT"], environment["PYTHONPATH"]
    with dagster_dev(checkout, environment=environment) as found:
        yield found


@pytest.fixture(scope="module")
def home(checkout):
    return (checkout / ".sinet" / "current").resolve()


def test_a_bare_dagster_dev_at_the_root_shows_what_sinet_run_did(pages):
    (run,) = [run for run in pages.runs() if run["tags"].get("sinet/run") == "true"]
    assert run["status"] == "SUCCESS"
    assert ("WEST", "fleet_predictions") in run["assets"]


def test_a_run_that_sinet_run_started_can_be_executed_again_from_the_page(pages, checkout):
    (first,) = [run for run in pages.runs() if run["tags"].get("sinet/run") == "true"]
    said = pages.ask(AGAIN, wanted={"parentRunId": first["id"], "strategy": "ALL_STEPS"})["launchRunReexecution"]
    assert said["__typename"] == "LaunchRunSuccess", said
    run_sinet(checkout, "status")  # looks for killed runs of `sinet run`, and must not take this one for one
    assert pages.finish(said["run"]["runId"]) == "SUCCESS"


def test_a_backfill_of_all_days_of_all_regions_from_the_page_leaves_every_data_asset_green(pages, home):
    first, last = landing_zone(home, TELEMETRY).days(EAST.name)[0], datetime.now(UTC).date()
    asked = [str(first + timedelta(days=ahead)) for ahead in range((last - first).days + 1)]  # today is a day too
    keys = [{"path": [region.name, APPLICATION, name]} for region in REGIONS for name in CHAIN]
    before = {run["id"] for run in pages.runs()}
    said = pages.ask(BACKFILL, wanted={"assetSelection": keys, "partitionNames": asked})["launchPartitionBackfill"]
    assert said["__typename"] == "LaunchBackfillSuccess", said

    def ended():
        state = pages.ask(BACKFILL_STATE, id=said["backfillId"])["partitionBackfillOrError"]["status"]
        return state if state.startswith("COMPLETED") else None

    assert pages.until(ended) == "COMPLETED_SUCCESS"
    ours = [run for run in pages.runs() if run["tags"].get("dagster/backfill") == said["backfillId"]]
    assert len(ours) == 1  # nine assets, one chain of days: one run
    assert before.isdisjoint(run["id"] for run in ours)
    for key in keys:
        assert pages.made_ranges(key["path"]) == [(asked[0], asked[-1])]


def test_a_file_in_the_landing_zone_starts_what_leads_to_new_predictions(pages, home):
    zone = landing_zone(home, TELEMETRY)
    last = zone.days(EAST.name)[-1]
    before = {run["id"] for run in pages.runs()}
    zone.land(EAST.name, last, name="late", rows=_another_cycle(home, last))

    expected = {(EAST.name, name) for name in (*CHAIN, "live_sequences", "fleet_predictions")}

    def made():
        new = [run for run in pages.runs() if run["id"] not in before]
        assert not any(run["status"] == "FAILURE" for run in new), new
        return set().union(*(run["assets"] for run in new if run["status"] == "SUCCESS"))

    pages.until(lambda: {*expected, (EAST.name, "online_features")} <= made(), limit_s=2 * LIMIT_S)
    assert {asset for asset in made() if asset[1] in CHAIN} == {(EAST.name, name) for name in CHAIN}


def test_a_backfill_of_features_and_drift_over_a_refused_day_ends_green_and_names_the_gap(pages, home):
    zone = landing_zone(home, TELEMETRY)
    first, today = zone.days(EAST.name)[0], datetime.now(UTC).date()
    hot = _another_cycle(home, zone.days(EAST.name)[-1]).with_columns(
        pl.col("t30_degr") * 10, recorded_at=pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC"))
    )
    before = {run["id"] for run in pages.runs()}
    zone.land(EAST.name, today, name="hot", rows=hot)

    def refused():
        return [run for run in pages.runs() if run["id"] not in before and run["status"] == "FAILURE"]

    pages.until(refused)  # its only day failed its contract
    asked = [str(first + timedelta(days=ahead)) for ahead in range((today - first).days + 1)]
    keys = [{"path": [EAST.name, APPLICATION, name]} for name in ("window_features", "input_drift")]
    said = pages.ask(BACKFILL, wanted={"assetSelection": keys, "partitionNames": asked})["launchPartitionBackfill"]
    assert said["__typename"] == "LaunchBackfillSuccess", said

    def ended():
        state = pages.ask(BACKFILL_STATE, id=said["backfillId"])["partitionBackfillOrError"]["status"]
        return state if state.startswith("COMPLETED") else None

    assert pages.until(ended) == "COMPLETED_SUCCESS"
    for key in keys:
        assert pages.gap_of(key["path"], str(today))


def test_the_log_of_every_run_opens_on_its_page(pages):
    from tests.run_log import run_page_query

    for run in pages.runs():
        log = pages.ask(run_page_query(), runId=run["id"], limit=100_000)["logsForRun"]
        assert log["events"], run


def _another_cycle(home, day: date) -> pl.DataFrame:
    """The cycle after a live engine's last one, an hour later, with the channels as they were."""
    from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP, VALIDATED_TELEMETRY
    from sinet_pipelines.storage.tables import tables_of

    rows = tables_of(home, EAST.name, "turbofan").read(VALIDATED_TELEMETRY, days=(day, day))
    last = (
        rows.filter(pl.col("role") == "live").sort("unit", "cycle").group_by("unit").last().sort("recorded_at").head(1)
    )
    moved = last.with_columns(pl.col("cycle") + 1, pl.col("recorded_at") + pl.duration(minutes=1))
    return moved.select(column.name for column in DROP.columns)
