"""A deployment: its settings, its regions and the first landed day of each application; read once and handed on.

Whoever starts a process (the code location, a command, a step's worker) reads it; everything else receives it. Two
deployments can live in one process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from resources.settings import Settings, settings
from sinet_pipelines.ingestion.record import read_first_days
from sinet_pipelines.inventory.regions import Inventory, Region, this_inventory
from sinet_pipelines.storage.layout import require_layout

RESOURCE = "deployment"  # the key under which steps, sensors and schedules find it
EMPTY_HOME_DAYS = 25  # an application that landed nothing shows the days that a first landing would have


@dataclass(frozen=True)
class Deployment:
    """One home with its regions, as a process received it.

    Attributes:
        settings: home, executor and addresses.
        inventory: regions and hardware.
        first_days: the first landed day by application; of those that landed something.
    """

    settings: Settings
    inventory: Inventory = field(hash=False)
    first_days: Mapping[str, date] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.settings.region is not None:
            self.region(self.settings.region)

    @property
    def home(self) -> Path:
        """The state directory of the deployment."""
        return self.settings.home

    @property
    def is_one_machine(self) -> bool:
        """Whether this process acts for all regions: it may open all their landing zones and tables."""
        return self.settings.observe_s is None

    @property
    def regions(self) -> tuple[Region, ...]:
        """All regions, in the order of the inventory."""
        return self.inventory.regions

    def region(self, name: str) -> Region:
        """The region of this name.

        Raises:
            UnknownRegionError: no region has it.
        """
        return self.inventory.region(name)

    def first_day(self, application: str) -> date:
        """The day on which the partitions of an application begin.

        Args:
            application: its name.
        """
        return self.first_days.get(application, self._first_of_empty)

    @cached_property
    def _first_of_empty(self) -> date:
        return datetime.now(UTC).date() - timedelta(days=EMPTY_HOME_DAYS)


def deployment_of(context: Any) -> Deployment:
    """The deployment of a step, a sensor or a schedule, whose context has it among its resources."""
    found: Deployment = getattr(context.resources, RESOURCE)
    return found


def read_deployment(settings: Settings, inventory: Inventory) -> Deployment:
    """The deployment of a home, with the days that its records name.

    Raises:
        FleetError: the record of an application is damaged.
        UsageError: the home has the layout of an earlier version.
        UnknownRegionError: the process runs in a region that the inventory does not have.
    """
    require_layout(settings.home)
    return Deployment(settings, inventory, read_first_days(settings.home))


def this_deployment(home: Path | None = None) -> Deployment:
    """The deployment that the environment of this process names; for entry points alone.

    Args:
        home: another home than the one in the environment.
    """
    found = settings()
    return read_deployment(found if home is None else replace(found, home=home), this_inventory())
