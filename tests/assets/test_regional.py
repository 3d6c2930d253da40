"""One asset written once stands once in each region, with its docstring and its region's resource."""

import dagster as dg

from assets.turbofan.keys import global_key, regional_key
from resources.deployment import Deployment
from resources.regions import region_resources
from sinet_pipelines.inventory.regions import Region
from tests.deployed import deployment_at, everywhere
from tests.inventory import EAST, REGIONS


def test_a_factory_gives_one_asset_a_region_with_its_docstring_as_description(tmp_path):
    from assets.framework.regional import here, per_region

    @per_region
    def places(deployment: Deployment, region: Region) -> dg.AssetsDefinition:
        """Where the step is."""

        @dg.asset(key=regional_key(region, "places"), required_resource_keys={region.key})
        def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"place": here(context, region).name})

        return asset

    deployment = deployment_at(tmp_path)
    made = places.make(deployment)
    assert [one.key for one in made] == everywhere("places")
    assert {spec.description for one in made for spec in one.specs} == {"Where the step is."}
    done = dg.materialize(made, resources=region_resources(deployment))
    made = done.get_asset_materialization_events()
    metadata = {event.asset_key.path[0]: event.materialization.metadata["place"].value for event in made}
    assert metadata == {region.name: region.name for region in REGIONS}


def test_keys_say_region_application_and_thing():
    assert regional_key(EAST, "raw_telemetry").to_user_string() == "EAST/turbofan/raw_telemetry"
    assert global_key("training_set").to_user_string() == "turbofan/training_set"
    assert [key.path[0] for key in everywhere("raw_telemetry")] == ["EAST", "WEST", "NULL_ISLAND"]


def test_every_data_asset_stands_once_in_each_region(definitions):
    graph = definitions.resolve_asset_graph()
    for name in ("raw_telemetry", "validated_telemetry", "window_features", "live_sequences", "fleet_predictions"):
        found = {key for key in graph.get_all_asset_keys() if key.path[-1] == name}
        assert found == set(everywhere(name))
