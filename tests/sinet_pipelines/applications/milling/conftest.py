"""What tests of the milling application share: simulated records, and the same as a file of the published format."""

from pathlib import Path

import polars as pl
import pytest

from sinet_pipelines.applications.milling.features import examples_of_records
from sinet_pipelines.applications.milling.reader import HEADERS
from sinet_pipelines.applications.milling.simulator import simulate_records
from sinet_pipelines.models.model import Examples
from tests.conftest import real_data


@pytest.fixture(scope="session")
def records():
    """1,500 products, some 50 failures."""
    return simulate_records(records=1500, seed=7)


@pytest.fixture(scope="session")
def known(records) -> Examples:
    """The same products as examples."""
    return examples_of_records(records)


@pytest.fixture
def write_table(tmp_path):
    """Writes records as the published table is written, byte-order mark and all; the folder of the file."""

    def write(rows: pl.DataFrame, *, drop: tuple[str, ...] = (), edit=lambda text: text) -> Path:
        published = rows.select(pl.col(column.name).alias(header) for header, column in HEADERS.items()).drop(drop)
        (tmp_path / "ai4i2020.csv").write_text("\ufeff" + edit(published.write_csv()), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture(scope="session")
def published_folder():
    """The published table."""
    return real_data("ai4i2020", "ai4i2020.csv")
