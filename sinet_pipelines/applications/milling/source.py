"""The sources of milling records: a folder with the AI4I 2020 table, or the simulator."""

from collections.abc import Sequence
from pathlib import Path

from sinet_pipelines.applications.milling.production import production_of, read_production
from sinet_pipelines.ingestion.delivery import LandReport, Order, Source

FORMAT, FILE = "ai4i2020", "ai4i2020.csv"


def format_of(folder: Path) -> str | None:
    """`ai4i2020` for a folder with the table, else None."""
    return FORMAT if (folder / FILE).is_file() else None


def subsets(folder: Path) -> Sequence[str]:
    """The one table of a folder."""
    return [FORMAT] if format_of(folder) else []


def deliver(order: Order) -> LandReport:
    """Lands the table of a folder, or without one simulated records, with the size and seed of the home if it has any.

    Raises:
        SourceError, FleetError, StorageError: as `land_folder`.
    """
    from sinet_pipelines.applications.milling.delivery import SIMULATED_RECORDS, land_folder, land_simulated

    if order.folder is not None:
        return land_folder(
            order.folder,
            home=order.home,
            regions=order.regions,
            first_day=order.first_day,
            today=order.today,
            restore=order.restore,
        )
    known = read_production(order.home)
    return land_simulated(
        order.home,
        regions=order.regions,
        records=known.records if known else SIMULATED_RECORDS,
        seed=known.seed if known else 0,
        with_faults=bool(known.planted) if known else True,
        first_day=order.first_day,
        today=order.today,
        restore=order.restore,
    )


SOURCE = Source({FORMAT: f"{FILE} of AI4I 2020"}, format_of, subsets, deliver, parse=production_of)
