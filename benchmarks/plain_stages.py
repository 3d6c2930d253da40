"""The data stages as a plain script: the same library calls as the assets, in the same chunks, without records."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from assets.framework.days import in_batches
from assets.framework.validated_writes import keep_days
from assets.turbofan.features import REACH_DAYS
from assets.turbofan.validation import TABLES
from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes
from sinet_pipelines.applications.turbofan.features.windows import rolling_statistics
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_FEATURES
from sinet_pipelines.applications.turbofan.schemas.telemetry import EARLY_TELEMETRY, RAW_TELEMETRY, VALIDATED_TELEMETRY
from sinet_pipelines.ingestion.arrivals import arrivals_of_rows
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.layout import blobs_root
from sinet_pipelines.storage.tables import TableStore, tables_of
from sinet_pipelines.validation import expectations
from sinet_pipelines.validation.judge import judge_days


def warm() -> None:
    """Makes the lazy imports of the stages and builds the suite, so that neither is measured."""
    expectations._definition(VALIDATED_TELEMETRY)


def _chunks(home: Path, region: str) -> Iterator[tuple[LandingZone, TableStore, list[date]]]:
    zone, tables = LandingZone(home, TELEMETRY, (region,)), tables_of(home, region, "turbofan")
    days = zone.days(region)
    for batch in in_batches(zone, region, days):
        yield zone, tables, batch


def ingest(home: Path, region: str) -> None:
    """Reads drops and writes `raw_telemetry`."""
    for zone, tables, days in _chunks(home, region):
        rows = pl.concat(zone.read_day(region, day).rows for day in days)
        now = pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC"))
        tables.replace_days(RAW_TELEMETRY, rows.with_columns(ingested_at=now), days=days)


def validate(home: Path, region: str) -> None:
    """Reads `raw_telemetry` and writes `validated_telemetry`, quarantine and first cycles."""
    for zone, tables, days in _chunks(home, region):
        raw = tables.read(RAW_TELEMETRY, days=(days[0], days[-1]))
        faults = {day: zone.read_faults(region, day) for day in days}
        judged = judge_days(raw, VALIDATED_TELEMETRY, drop_faults=faults)
        passed = [verdict.day for verdict in judged.days if verdict.passed]
        keep_days(tables, TABLES, judged, passed, arrivals_of_rows(zone, tables, region))


def describe(home: Path, region: str) -> None:
    """Reads `validated_telemetry` and writes `window_features`."""
    regimes = OperatingRegimes.from_json(
        BlobStore(blobs_root(home, "EAST"), "turbofan").get_ref("operating_regimes").decode()
    )
    for _, tables, days in _chunks(home, region):
        early = tables.read(EARLY_TELEMETRY)
        history = tables.read(VALIDATED_TELEMETRY, days=(days[0] - timedelta(days=REACH_DAYS), days[-1]))
        features = rolling_statistics(history, first_cycles=early, regimes=regimes)
        tables.replace_days(WINDOW_FEATURES, features, days=days)
