"""What tests of schedules share: a home whose rows and features are made, and what its event log says."""

import shutil

import dagster as dg
import pytest

from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from tests.conftest import executor_for
from tests.deployed import deployment_at
from tests.instances import instance_at

DATA_STAGES = ("ingestion", "validation", "features")


@pytest.fixture(scope="session")
def made(definitions, landed, tmp_path_factory):
    """A home of the small fleet: everything up to the features is made, the rest is recorded as made from these."""
    from resources.materializations.published import publish_all
    from schedules.backfills import plan_repair

    home = tmp_path_factory.mktemp("made") / "home"
    shutil.copytree(landed, home, dirs_exist_ok=True)
    graph = definitions.resolve_asset_graph()
    with instance_at(home / "dagster") as instance:
        (run,) = plan_repair(instance, graph, deployment_at(home))
        keys = [k for k in run.keys if graph.get(k).group_name in DATA_STAGES or graph.get(k).is_partitioned]
        assert executor_for(home, definitions)(instance, keys, run.days).success
        record_as_made(instance, graph, home, run.keys.difference(keys))
    publish_all(deployment_at(home))  # else each copy counts the rows of all days again
    return home


def record_as_made(instance, graph, home, keys):
    """Records assets without days as made from what their inputs are now, each after those it comes from."""
    from resources.materializations.staleness import Staleness
    from resources.materializations.versions import INPUTS_TAG, VERSION_TAG

    for key in graph.toposorted_asset_keys:
        if key in keys:
            tags = {INPUTS_TAG: Staleness(instance, graph, deployment_at(home)).inputs_of(key), VERSION_TAG: "1"}
            instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
            for check in graph.get_check_keys_for_assets({key}):
                said = dg.AssetCheckEvaluation(asset_key=key, check_name=check.name, passed=True, metadata={})
                instance.report_runless_asset_event(said)


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    """A copy of the made home; the settings of this process name it."""
    folder = tmp_path / "home"
    shutil.copytree(made, folder)
    monkeypatch.setenv("SINET_HOME", str(folder))
    yield folder
    monkeypatch.undo()


@pytest.fixture
def instance(home):
    """The event log of the made home."""
    with instance_at(home / "dagster") as found:
        yield found


@pytest.fixture
def graph(definitions):
    return definitions.resolve_asset_graph()


@pytest.fixture
def zone(home):
    from tests.zones import landing_zone

    return landing_zone(home, TELEMETRY)


@pytest.fixture
def land_late(zone):
    """Lands one row more on a day of a region, an engine's cycle that nobody has sent yet."""
    import polars as pl

    from sinet_pipelines.applications.turbofan.schemas.telemetry import DROP

    def land(region, day, *, on=None):
        rows = zone.read_day(region.name, on or day).rows.head(1)
        late = rows.with_columns(pl.lit("FD007-0999").alias("unit")).select(column.name for column in DROP.columns)
        return zone.land(region.name, day, name="late", rows=late)

    return land


@pytest.fixture
def mend(instance, graph, home, definitions):
    """Makes what is stale as `sinet run` does, as far as the features; what learns from them is recorded as made."""
    from schedules.backfills import plan_repair

    execute = executor_for(home, definitions)

    def repair():
        for _ in range(8):
            planned = plan_repair(instance, graph, deployment_at(home))
            if not planned:
                return
            rows = [run for run in planned if any(key.path[-1] == "validated_telemetry" for key in run.keys)]
            for run in rows or planned:
                own = [k for k in run.keys if graph.get(k).group_name in DATA_STAGES or graph.get(k).is_partitioned]
                own = [k for k in own if k.path[-1] != "online_features"]  # has tests of its own
                if own:
                    assert execute(instance, own, run.days).success
                record_as_made(instance, graph, home, run.keys.difference(own))
        raise AssertionError(f"still planned after 8 rounds: {planned}")

    return repair
