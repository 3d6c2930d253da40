"""Versions of process features: a correction keeps what was known of the product at the end of its day."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from sinet_pipelines.applications.milling.features import process_features
from sinet_pipelines.applications.milling.known import keep_process_versions
from sinet_pipelines.applications.milling.schemas import FEATURE_NAMES
from sinet_pipelines.applications.milling.tables import PROCESS_FEATURES, VALIDATED_RECORDS
from sinet_pipelines.features.as_known import read_as_known
from sinet_pipelines.storage.revisions import Revision, keep_versions
from sinet_pipelines.storage.tables import TableStore

DAY = date(2026, 3, 1)
LATER = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture
def rows(records):
    """Twenty validated records of one day."""
    return records.head(20).with_columns(
        recorded_at=pl.lit(datetime(2026, 3, 1, 8, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")),
        event_date=pl.lit(DAY),
        row_hash=pl.format("row-{}", "record_id"),
        drop_id=pl.lit("drop"),
    )


def make(store, rows, arrived_at):
    def arrivals(_, hashes):
        return pl.DataFrame({"row_hash": hashes}).with_columns(
            known_from=pl.lit(arrived_at).cast(pl.Datetime("us", "UTC"))
        )

    keep_versions(store, VALIDATED_RECORDS, Revision([DAY], rows, arrivals, at=LATER))
    store.replace_days(VALIDATED_RECORDS, rows, days=[DAY])
    keep_process_versions(store, days=[DAY])
    store.replace_days(PROCESS_FEATURES, process_features(rows), days=[DAY])


def test_a_corrected_product_has_the_features_of_its_day_and_others_have_theirs(rows, tmp_path):
    store = TableStore(str(tmp_path), "milling")
    make(store, rows, None)
    is_first = pl.col("record_id") == rows["record_id"][0]
    later = rows.with_columns(
        torque_nm=pl.col("torque_nm") + pl.when(is_first).then(9.0).otherwise(0.0),
        row_hash=pl.when(is_first).then(pl.lit("corrected")).otherwise("row_hash"),
    )
    make(store, later, LATER)
    known = read_as_known(store, PROCESS_FEATURES, store.read(PROCESS_FEATURES)).sort("record_id")
    assert known.select(FEATURE_NAMES).equals(process_features(rows).sort("record_id").select(FEATURE_NAMES))
    assert known["is_former"].sum() == 1
