"""Makes a fleet of any size for the benchmarks: simulated engines, repeated with other names, landed by day."""

from datetime import date
from pathlib import Path

import polars as pl

from sinet_pipelines.applications.turbofan.fleet import Fleet, write_fleet
from sinet_pipelines.applications.turbofan.fleet_layout import lay_out
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.inventory.names import EAST, NULL_ISLAND, WEST

FIRST_DAY = date(2026, 1, 1)
DAYS = 20
REGIONS = (EAST, WEST, NULL_ISLAND)
ENGINES_PER_100K_ROWS = (430, 100)  # history and live; lives of about 205 cycles, live ones cut at 0.6 of them


def land_rows(home: Path, rows: int) -> int:
    """Lands about `rows` rows in 3 regions and 20 days, one drop for each region and day; returns the exact number."""
    copies = max(1, round(rows / 100_000))
    share = min(1.0, rows / 100_000)
    history, live = (max(3, round(count * share)) for count in ENGINES_PER_100K_ROWS)
    subset = simulate_fleet(history_engines=history, live_engines=live, seed=1, name="SIM")
    fleet = Fleet("benchmark", True, first_day=FIRST_DAY, days=DAYS, regions=REGIONS).admit("SIM", subset.digest)
    zone = LandingZone(home, TELEMETRY, fleet.regions)
    landed = 0
    for part in lay_out(subset, fleet).days:
        named = [pl.format("C{}-{}", pl.lit(n), "unit").alias("unit") for n in range(copies)]
        repeated = pl.concat(part.rows.with_columns(name) for name in named)
        zone.land(part.region, part.day, name="SIM", rows=repeated)
        landed += repeated.height
    write_fleet(fleet, home)
    return landed
