"""Where regions run apart, planner, status and sensors read what they published, and open nothing else there."""

import shutil
from datetime import UTC, datetime

import dagster as dg
import polars as pl
import pytest

from assets.turbofan.keys import regional_key
from resources.keys import LANDING_ZONE, ROLE_TAG, Role, with_tag
from resources.materializations.publishing import SEEN_FILE
from resources.materializations.staleness import Staleness
from resources.materializations.state import states
from resources.materializations.versions import INPUTS_TAG, VERSION_TAG
from resources.unused import record_unused
from schedules.backfills import plan_repair
from schedules.observations import OBSERVED_TAG
from schedules.sensors import landing
from sinet_pipelines.applications.turbofan.schemas.telemetry import RAW_TELEMETRY
from sinet_pipelines.cli.status import read_accounts, read_unused
from sinet_pipelines.schemas.publication import REGION_DIGESTS
from sinet_pipelines.storage.layout import CLASSES, landing_root, region_root, table_folder
from sinet_pipelines.storage.tables import tables_of
from tests.conftest import executor_for
from tests.deployed import deployment_at, published_at, sensor_context
from tests.inventory import EAST, REGIONS

pytestmark = pytest.mark.slow  # each makes days

RAW = regional_key(EAST, "raw_telemetry")
CONFINED = ("landing", *(name for name in CLASSES if name not in ("feature", "model")))


@pytest.fixture
def apart(home, monkeypatch):
    """The regions of the home run apart."""
    monkeypatch.setenv("SINET_EXECUTOR", "regions")
    monkeypatch.setenv("SINET_OBSERVE_SECONDS", "86400")  # however slow the machine, none is due again


@pytest.fixture
def observe(instance, graph, home, definitions):
    """Executes the observation of regions' landing zones."""

    def run(*regions):
        keys = with_tag(graph, ROLE_TAG, Role.LANDING_ZONE)
        chosen = [key for key in keys if not regions or key.path[0] in regions]
        assert executor_for(home, definitions)(instance, chosen, None).success

    return run


@pytest.fixture
def look(instance, graph, home):
    """All that is known of the home without a step."""

    def found():
        return (
            plan_repair(instance, graph, deployment_at(home)),
            states(instance, graph, deployment_at(home)),
            read_accounts(published_at(home), {}),
            read_unused(published_at(home)),
            record_unused(instance, deployment_at(home)),
        )

    return found


@pytest.fixture
def tick(definitions, instance, home):
    """One tick of the sensor of what lands: its requests, those that observe a region first."""

    def run():
        with sensor_context(instance, home, definitions) as context:
            found = list(landing(context))
        requests = [one for one in found if isinstance(one, dg.RunRequest)]
        observing = [one for one in requests if OBSERVED_TAG in one.tags]
        return observing, [one for one in requests if one not in observing]

    return run


def take_away(home):
    """Moves landing zones and tables that may not leave out of every region's folder."""
    for region in REGIONS:
        for name in CONFINED:
            folder = region_root(home, region.name) / name
            if folder.exists():
                shutil.move(folder, home.parent / "away" / region.name / name)


def test_what_is_known_is_the_same_without_the_landing_zones_and_the_raw_tables(look, observe, home, apart, tick):
    observe()
    before = look()
    assert before[0] == []
    assert sum(account.in_tables for account in before[2].values()) > 0
    take_away(home)
    assert look() == before
    assert tick() == ([], [])


def test_what_is_published_apart_is_what_one_machine_finds(look, observe, home, monkeypatch, zone):
    zone.folder(EAST.name).joinpath("a.csv").write_text("1")
    alone = look()
    shutil.rmtree(table_folder(home, EAST.name, "turbofan", REGION_DIGESTS))
    (home / SEEN_FILE).unlink()
    monkeypatch.setenv("SINET_EXECUTOR", "regions")
    monkeypatch.setenv("SINET_OBSERVE_SECONDS", "86400")
    observe()
    assert look() == alone


def test_a_region_that_published_nothing_is_observed_first_and_nothing_of_it_is_planned(
    look, observe, home, apart, tick, graph, instance, land_late, zone
):
    observe()
    day = zone.days(EAST.name)[-1]
    land_late(EAST, day)
    shutil.rmtree(table_folder(home, EAST.name, "turbofan", REGION_DIGESTS))
    assert look()[0] == []
    observing, planned = tick()
    assert [one.tags[OBSERVED_TAG] for one in observing] == [EAST.name]
    assert set(observing[0].asset_selection) == {
        key for key in with_tag(graph, ROLE_TAG, Role.LANDING_ZONE) if key.path[0] == EAST.name
    }
    assert planned == []
    observe(EAST.name)
    assert day in Staleness(instance, graph, deployment_at(home)).stale(RAW)
    assert [one.tags["sinet/region"] for one in tick()[1]] == [EAST.name]


def test_a_region_with_an_unfinished_observation_gets_no_second(apart, tick, instance):
    observing, _ = tick()
    assert {one.tags[OBSERVED_TAG] for one in observing} == {region.name for region in REGIONS}
    tags = {OBSERVED_TAG: EAST.name, "dagster/sensor_name": "landing"}
    instance.add_run(dg.DagsterRun("observation", status=dg.DagsterRunStatus.STARTED, tags=tags))
    assert EAST.name not in {one.tags[OBSERVED_TAG] for one in tick()[0]}


def test_a_step_that_was_killed_before_it_published_leaves_its_region_unplanned_until_it_is_observed(
    look, observe, apart, tick, home, zone, instance, graph
):
    observe()
    day = zone.days(EAST.name)[0]
    rows = zone.read_day(EAST.name, day).rows.with_columns(ingested_at=pl.lit(datetime.now(UTC)))
    written = tables_of(home, EAST.name, "turbofan").replace_days(RAW_TELEMETRY, rows, days=[day])
    tags = {
        VERSION_TAG: written.data_versions[day],
        INPUTS_TAG: Staleness(instance, graph, deployment_at(home)).inputs_by_day(RAW)[day],
    }
    recorded = {"dagster/row_count": written.rows, "table_version": written.version}
    instance.report_runless_asset_event(dg.AssetMaterialization(RAW, partition=str(day), metadata=recorded, tags=tags))
    assert Staleness(instance, graph, deployment_at(home)).is_awaited(RAW)
    assert look()[0] == []
    assert [one.tags[OBSERVED_TAG] for one in tick()[0]] == [EAST.name]
    observe(EAST.name)
    assert not Staleness(instance, graph, deployment_at(home)).is_awaited(RAW)
    assert look()[0] == []
    # a table that went back is lost once it was observed, and not before
    shutil.rmtree(table_folder(home, EAST.name, "turbofan", RAW_TELEMETRY))
    assert look()[0] == []
    observe(EAST.name)
    assert RAW in {key for run in look()[0] for key in run.keys}


def test_each_day_of_a_landing_zone_has_a_data_version_that_changes_with_its_drops(observe, instance, zone):
    key = regional_key(EAST, LANDING_ZONE)

    def versions():
        found = instance.fetch_observations(key, limit=1000).records
        newest = {}
        for record in found:
            event = record.asset_observation
            if event.partition:
                newest.setdefault(event.partition, event.tags[VERSION_TAG])
        return newest, len(found)

    observe(EAST.name)
    first, events = versions()
    assert first == {str(day): zone.fingerprint(EAST.name, day) for day in zone.days(EAST.name)}
    observe(EAST.name)
    assert versions() == (first, events + 1)  # one that nothing changed, and none of a day
    day = zone.days(EAST.name)[0]
    shutil.rmtree(landing_root(zone.home, EAST.name, "turbofan") / str(day))
    observe(EAST.name)
    after, _ = versions()
    assert {name for name in first if first[name] != after[name]} == {str(day)}
