"""The sources of turbofan data: a folder in NASA's C-MAPSS format, a home of version 0.1, or a simulated fleet."""

import re
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

from sinet_pipelines.applications.turbofan.fleet import fleet_of
from sinet_pipelines.ingestion.delivery import LandReport, Order, Source

CMAPSS, HOME = "cmapss", "home"
FORMATS = {
    CMAPSS: "train_FD001.txt, test_FD001.txt and RUL_FD001.txt of NASA's C-MAPSS",
    HOME: "a home that version 0.1 laid out",
}
SIMULATED = "simulated"
_FILE = re.compile(r"(?:train|test|RUL)_\w+\.txt")


def format_of(folder: Path) -> str | None:
    """`cmapss` for a folder with a file that has a name of C-MAPSS, else None."""
    return CMAPSS if any(_FILE.fullmatch(path.name) for path in folder.iterdir()) else None


def subsets(folder: Path) -> Sequence[str]:
    """The subsets of a folder in C-MAPSS format; a SourceError where there is none."""
    from sinet_pipelines.applications.turbofan.cmapss import find_subsets

    return find_subsets(folder)


def deliver(order: Order) -> LandReport:
    """Lands a folder, or without one the simulated fleet.

    Raises:
        SourceError, FleetError, StorageError: as `land_folder`.
    """
    if order.folder is not None and order.form == HOME:
        from sinet_pipelines.applications.turbofan.older_home import land_again

        return land_again(order.folder, home=order.home, regions=order.regions)
    more = {
        "regions": order.regions,
        "cycles_per_day": order.cycles_per_day,
        "first_day": order.first_day,
        "today": order.today,
        "restore": order.restore,
    }
    if order.folder is None:
        return land_simulated(order.home, **more)  # type: ignore[arg-type]
    return land_folder(order.folder, home=order.home, subsets=order.subsets, **more)  # type: ignore[arg-type]


def land_folder(
    folder: Path,
    *,
    home: Path,
    regions: Sequence[str],
    subsets: Sequence[str] = (),
    cycles_per_day: int | None = None,
    first_day: date | None = None,
    today: date | None = None,
    restore: bool = True,
) -> LandReport:
    """Lands a folder in C-MAPSS format; landing it again changes nothing.

    Args:
        folder: with train_, test_ and RUL_ files.
        home: the home; it has one fleet, to which subsets may be added.
        regions: names of the regions of the deployment; a new fleet is laid out in these.
        subsets: subsets to land, by default all of the folder.
        cycles_per_day: 30 or more; by default that of the home's fleet, or 40.
        first_day: day 0 of the layout; by default that of the home, or the day that makes yesterday the last.
        today: the present day, UTC; read from the clock by default.
        restore: whether files that landed and were later removed are written again.

    Raises:
        SourceError: the folder or a file cannot be read as C-MAPSS.
        FleetError: the home has another fleet, or the layout cannot be made.
        StorageError: the disk is full; landed files remain, and landing again continues.
    """
    from sinet_pipelines.applications.turbofan.cmapss import find_subsets, read_cmapss
    from sinet_pipelines.applications.turbofan.delivery import deliver
    from sinet_pipelines.applications.turbofan.founding import Wish

    read = [read_cmapss(folder, name) for name in dict.fromkeys(subsets or find_subsets(folder))]
    name, laid_out_in = folder.resolve().name, tuple(regions)
    wish = Wish(name, False, cycles_per_day=cycles_per_day, first_day=first_day, regions=laid_out_in)
    return deliver(read, home=home, wish=wish, today=today, restore=restore)


def land_simulated(
    home: Path,
    *,
    regions: Sequence[str],
    history_engines: int = 120,
    live_engines: int = 60,
    seed: int = 0,
    regimes: int = 6,
    with_faults: bool = True,
    cycles_per_day: int | None = None,
    first_day: date | None = None,
    today: date | None = None,
    restore: bool = True,
) -> LandReport:
    """Lands the simulated fleet with planted faults; landing it again changes nothing.

    Args:
        home: the home of the fleet.
        regions: as for `land_folder`.
        history_engines: number of engines run to failure.
        live_engines: number of engines still running.
        seed: seed of the fleet, its layout and its faults.
        regimes: number of operating points, 1 to 6.
        with_faults: whether faults are planted.
        cycles_per_day: as for `land_folder`.
        first_day: as for `land_folder`.
        today: as for `land_folder`.
        restore: as for `land_folder`.

    Raises:
        FleetError, StorageError: as for `land_folder`.
    """
    from sinet_pipelines.applications.turbofan.delivery import deliver
    from sinet_pipelines.applications.turbofan.founding import Wish
    from sinet_pipelines.applications.turbofan.planted_faults import plant_faults
    from sinet_pipelines.applications.turbofan.simulator import simulate_fleet

    subset = simulate_fleet(history_engines=history_engines, live_engines=live_engines, seed=seed, regimes=regimes)
    wish = Wish(SIMULATED, True, seed, cycles_per_day, first_day, regions=tuple(regions))
    plant = partial(plant_faults, seed=seed) if with_faults else None
    return deliver([subset], home=home, wish=wish, plant=plant, today=today, restore=restore)


SOURCE = Source(FORMATS, format_of, subsets, deliver, parse=fleet_of)
