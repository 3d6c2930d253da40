"""The states of the landing zones of a home; each zone is listed once, although several readers of a tick need it."""

from dataclasses import dataclass, field

from resources.deployment import Deployment
from sinet_pipelines.ingestion.landing import listed_zone
from sinet_pipelines.ingestion.zone_state import ZoneState, zone_state


@dataclass(frozen=True)
class Zones:
    """The landing zones of the applications in the regions of a home, where this process may list them.

    Attributes:
        deployment: home and regions.
    """

    deployment: Deployment
    _found: dict[tuple[str, str], ZoneState] = field(default_factory=dict, repr=False, compare=False)

    def state(self, region: str, application: str) -> ZoneState:
        """The state of a zone when it was first needed.

        Raises:
            StorageError: the store of the zone cannot be reached, or denies access.
        """
        place = (region, application)
        if place not in self._found:
            regions = self.deployment.inventory.names
            zone = listed_zone(self.deployment.home, region, application, regions=regions)
            self._found[place] = zone_state(zone)
        return self._found[place]
