"""What a repair plans: nothing when all is done, else what is not what its inputs say, in as few runs as may be."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from assets.turbofan.keys import global_key, regional_key
from resources.materializations.staleness import Staleness
from resources.materializations.versions import INPUTS_TAG, VERSION_TAG
from schedules.backfills import PlannedRun, contiguous, landed_range, plan_repair, startable
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.storage.layout import blobs_root
from sinet_pipelines.storage.tables import TableStore
from tests.conftest import executor_for
from tests.deployed import deployment_at, everywhere
from tests.inventory import EAST, NULL_ISLAND, WEST
from tests.zones import landing_zone

JANUARY = [date(2026, 1, day) for day in range(1, 31)]


def names(run):
    return {"/".join((key.path[0], key.path[-1])) for key in run.keys}


def test_nothing_is_planned_when_everything_is_what_its_inputs_say(instance, graph, home):
    assert plan_repair(instance, graph, deployment_at(home)) == []


def test_a_day_with_a_late_drop_is_made_again_and_features_of_the_day_after_with_it(
    instance, graph, home, zone, land_late
):
    days = zone.days(WEST.name)
    land_late(WEST, days[20])
    rows, rest = plan_repair(instance, graph, deployment_at(home))
    assert rows == PlannedRun(
        frozenset([regional_key(WEST, "raw_telemetry"), regional_key(WEST, "validated_telemetry")]),
        (days[20], days[20]),
    )
    assert rest.days == (days[20], days[21])
    assert names(rest) == {"WEST/window_features", "WEST/input_drift"}  # what comes after is planned when it is known


def test_a_day_made_from_other_inputs_is_planned_from_there_on(instance, graph, home, zone):
    day = zone.days(EAST.name)[20]
    other = {INPUTS_TAG: "other-rows", VERSION_TAG: "1"}
    key = regional_key(EAST, "window_features")
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=str(day), tags=other))
    (run,) = plan_repair(instance, graph, deployment_at(home))
    assert run.days == (day, day)
    assert "EAST/window_features" in names(run)
    assert names(run).isdisjoint({"EAST/validated_telemetry", "EAST/raw_telemetry", "EAST/live_sequences"})


def test_a_new_day_is_planned_whole_in_one_run(instance, graph, home, zone, land_late):
    last = zone.days(EAST.name)[-1]
    today = last + timedelta(days=1)
    land_late(EAST, today, on=last)
    (run,) = plan_repair(instance, graph, deployment_at(home))
    assert run.days == (today, today)
    assert {"EAST/raw_telemetry", "EAST/validated_telemetry", "EAST/window_features"} <= names(run)


def test_days_that_are_no_partitions_are_left_until_they_are(instance, graph, home, zone, land_late):
    days = zone.days(EAST.name)
    early, to_come = days[0] - timedelta(days=3), days[-1] + timedelta(days=3)
    for day in (early, to_come):
        land_late(EAST, day, on=days[0])
    assert plan_repair(instance, graph, deployment_at(home)) == []
    unused = {Path(one.path).parent.name for one in zone.unused(EAST.name, first_day=days[0])}
    assert unused == {str(early), str(to_come)}
    assert landed_range(Staleness(instance, graph, deployment_at(home))) == (days[0], days[-1])


def test_rows_made_before_there_were_regimes_get_their_features_when_there_are(instance, graph, home, zone):
    """As after a kill between the rows and the regimes."""
    next((blobs_root(home, EAST.name)).rglob("operating_regimes*")).unlink()
    instance.wipe_assets([global_key("operating_regimes"), *everywhere("window_features")])
    (run,) = plan_repair(instance, graph, deployment_at(home))
    days = zone.days(EAST.name)
    assert run.days == (days[0], days[-1])
    assert {"EAST/window_features", "turbofan/operating_regimes"} <= names(run)
    assert "EAST/raw_telemetry" not in names(run)


def test_other_code_makes_every_day_anew(instance, graph, home, zone, monkeypatch):
    node = graph.get(regional_key(EAST, "validated_telemetry"))
    known = {key: graph.get(key).code_version for key in graph.get_all_asset_keys()}
    known[node.key] = "another"
    monkeypatch.setattr(type(node), "code_version", property(lambda self: known[self.key]))
    (run,) = plan_repair(instance, graph, deployment_at(home))
    days = zone.days(EAST.name)
    assert run.days == (days[0], days[-1])
    assert names(run) == {"EAST/validated_telemetry", "EAST/window_features", "EAST/input_drift"}


def test_events_that_landed_are_made_again(instance, graph, home, zone):
    import polars as pl

    events = zone.read_events(NULL_ISLAND.name, "failures").head(1)
    zone.land_events(NULL_ISLAND.name, "failures", name="late", events=events.with_columns(pl.col("cycle") + 1))
    (run,) = plan_repair(instance, graph, deployment_at(home))
    assert run.days is None
    assert names(run) == {"NULL_ISLAND/failure_events"}


def test_what_was_made_again_with_other_content_makes_what_learns_from_it_stale(instance, graph, home):
    key = regional_key(NULL_ISLAND, "failure_events")
    tags = {VERSION_TAG: "other-content", INPUTS_TAG: Staleness(instance, graph, deployment_at(home)).inputs_of(key)}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
    (run,) = plan_repair(instance, graph, deployment_at(home))
    learners = {"training_set", "evaluation_set", "evaluation_sequences", "failure_index"}
    assert {name.partition("/")[2] for name in names(run)} == learners


def test_what_is_stale_waits_for_what_it_comes_from(instance, graph, home):
    """New calibration rows and a new training set: the graphs are made from the model that is about to be, not both."""
    for key in (regional_key(EAST, "calibration_sequences"), regional_key(EAST, "training_sequences")):
        tags = {
            VERSION_TAG: "other-content",
            INPUTS_TAG: Staleness(instance, graph, deployment_at(home)).inputs_of(key),
        }
        instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
    (run,) = plan_repair(instance, graph, deployment_at(home))
    assert names(run) == {f"turbofan/{name}" for name in ("temporal_convolution", "spiking_challenger")}
    instance.wipe_assets([global_key("served_graph")])  # what was never made waits, too, for what is not made yet
    (run,) = plan_repair(instance, graph, deployment_at(home))
    assert names(run) == {f"turbofan/{name}" for name in ("temporal_convolution", "spiking_challenger")}


def test_predictions_do_not_wait_for_a_challenger(instance, graph, home):
    keys = [regional_key(EAST, "training_sequences"), regional_key(EAST, "live_sequences")]
    for key in keys:
        tags = {
            VERSION_TAG: "other-content",
            INPUTS_TAG: Staleness(instance, graph, deployment_at(home)).inputs_of(key),
        }
        instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
    (run,) = plan_repair(instance, graph, deployment_at(home))
    assert "EAST/fleet_predictions" in names(run)
    assert "turbofan/onnx_models" not in names(run)


def test_what_is_known_to_be_stale_is_planned_alone(instance, graph, home):
    (run,) = plan_repair(instance, graph, deployment_at(home), also=[global_key("endpoint")])
    assert run.keys == {global_key("endpoint")}


def test_what_is_to_be_left_is_left_once_it_exists_and_made_when_it_does_not(instance, graph, home, zone, land_late):
    land_late(EAST, zone.days(EAST.name)[20])
    _, rest = plan_repair(
        instance, graph, deployment_at(home), leave=("training_set", "regime_cells", "operating_regimes")
    )
    assert global_key("training_set") not in rest.keys
    instance.wipe_assets([global_key("training_set")])
    _, rest = plan_repair(
        instance, graph, deployment_at(home), leave=("training_set", "regime_cells", "operating_regimes")
    )
    assert global_key("training_set") in rest.keys


def test_only_runs_that_need_nothing_planned_before_them_may_start_at_once(graph):
    def run(name, first, last):
        return PlannedRun(frozenset(everywhere(name)), (date(2026, 1, first), date(2026, 1, last)))

    early, late = run("raw_telemetry", 1, 2), run("raw_telemetry", 5, 6)
    assert startable([early, late, run("window_features", 1, 7)], graph) == [early, late]
    assert startable([run("window_features", 1, 2)], graph) == [run("window_features", 1, 2)]


@given(st.sets(st.sampled_from(JANUARY)), st.sets(st.sampled_from(JANUARY)))
def test_stretches_hold_each_stale_day_once_landed_or_withdrawn_and_no_other_landed_day(stale, landed):
    spans = list(contiguous(stale, landed))
    assert [day for first, last in spans for day in sorted(landed | stale) if first <= day <= last] == sorted(stale)


def test_an_upstream_that_changes_while_a_step_is_at_work_makes_its_result_stale(
    instance, graph, home, definitions, monkeypatch
):
    key, upstream = regional_key(EAST, "live_sequences"), regional_key(EAST, "validated_telemetry")
    day = str(landing_zone(home, TELEMETRY).days(EAST.name)[3])
    replace_table = TableStore.replace

    def replace_late(self, contract, rows):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(upstream, partition=day, tags={VERSION_TAG: "other-rows", INPUTS_TAG: "other"})
        )
        return replace_table(self, contract, rows)

    monkeypatch.setattr(TableStore, "replace", replace_late)
    assert executor_for(home, definitions)(instance, [key]).success
    staleness = Staleness(instance, graph, deployment_at(home))
    assert staleness.inputs_made_from(key) != staleness.inputs_of(key)
    monkeypatch.setattr(TableStore, "replace", replace_table)
    assert executor_for(home, definitions)(instance, [key]).success
    staleness = Staleness(instance, graph, deployment_at(home))
    assert staleness.inputs_made_from(key) == staleness.inputs_of(key)


def test_a_planned_run_says_its_days_as_dagster_reads_them():
    run = PlannedRun(frozenset([dg.AssetKey("a")]), (date(2026, 1, 1), date(2026, 1, 3)))
    assert run.tags == {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-01-03",
    }
    assert PlannedRun(frozenset()).tags == {}


def test_runs_that_bring_rows_come_alone_and_events_are_none_of_them(graph):
    from sinet_pipelines.cli.run import _first_of

    rows = PlannedRun(frozenset([regional_key(EAST, "raw_telemetry")]))
    regimes = PlannedRun(frozenset([global_key("operating_regimes")]))
    features = PlannedRun(frozenset([regional_key(EAST, "window_features"), regional_key(EAST, "failure_events")]))
    assert _first_of([rows, regimes, features], graph) == [rows]
    assert _first_of([regimes, features], graph) == [regimes, features]
