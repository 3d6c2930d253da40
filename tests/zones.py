"""Landing zones of tests, in the default regions."""

from sinet_pipelines.ingestion.landing import LandingZone
from tests.inventory import NAMES


def landing_zone(home, data, **more):
    """The landing zones of an application in the default regions."""
    return LandingZone(home, data, NAMES, **more)
