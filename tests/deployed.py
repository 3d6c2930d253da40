"""Deployments of tests: a home, the shipped regions, no environment."""

from pathlib import Path

import dagster as dg

from assets.turbofan.keys import regional_key
from resources.deployment import RESOURCE, Deployment, read_deployment
from resources.regions import region_resources
from resources.settings import TRACKING_URL, Settings, settings
from tests.inventory import SHIPPED

CHECKOUT = Path(__file__).parents[1]


def deployment_at(home, *, inventory=SHIPPED, executor="in_process", region=None) -> Deployment:
    """The deployment of a home, with the first days of what landed there; regions run apart where a test sets that."""
    return read_deployment(
        Settings(CHECKOUT, Path(home), executor, TRACKING_URL, region, settings().observe_s), inventory
    )


def everywhere(name):
    """The keys of a turbofan asset in all shipped regions."""
    return [regional_key(region, name) for region in SHIPPED.regions]


def resources_at(home):
    """The resources of bound steps on a home: its deployment and its regions."""
    deployment = deployment_at(home)
    return {RESOURCE: deployment, **region_resources(deployment)}


def sensor_context(instance, home, definitions=None, **more):
    """What a sensor is evaluated with in the deployment of a home."""
    repository = definitions.get_repository_def() if definitions is not None else None
    resources = {RESOURCE: deployment_at(home)}
    return dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources, **more)


def schedule_context(instance, home, definitions, at):
    """What a schedule is evaluated with at an instant in the deployment of a home."""
    return dg.build_schedule_context(
        instance=instance,
        repository_def=definitions.get_repository_def(),
        scheduled_execution_time=at,
        resources={RESOURCE: deployment_at(home)},
    )


def published_at(home):
    """The published data of a home; its regions are those of the inventory that the environment names."""
    from resources.deployment import this_deployment
    from resources.materializations.published import Published

    return Published(this_deployment(home))
