"""What a daemon with nothing to do is spared: no loop runs for what no asset declares."""

from pathlib import Path

import yaml

from sinet_pipelines.deployment.changes import AFTER, Reads

SETTINGS = Path(__file__).parents[2] / "dagster.yaml"


def test_freshness_is_looked_at_where_an_asset_has_a_policy_and_only_there(definitions):
    graph = definitions.resolve_asset_graph()
    declared = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None]
    assert yaml.safe_load(SETTINGS.read_text())["freshness"]["enabled"] == bool(declared)


def test_only_the_landing_zone_is_looked_at_more_than_twice_a_minute(definitions):
    often = [sensor.name for sensor in definitions.sensors or () if sensor.minimum_interval_seconds < 30]
    assert often == ["landing"]


def test_every_sensor_but_the_one_that_calls_servers_names_what_it_reads(definitions):
    named = {sensor.name: sensor.tags.get(AFTER) for sensor in definitions.sensors or ()}
    assert named == {
        "landing": Reads.LANDING_ZONES,
        "drift": Reads.LANDING_ZONES,
        "what_follows": Reads.EVENTS,
        "alias": Reads.REGISTRY,
        "endpoint_lives": None,  # only the server itself shows that it hangs
    }
    assert {type(value) for value in named.values()} == {str, type(None)}  # Dagster serialises no other text
