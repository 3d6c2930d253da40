import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.features.sequences import (
    sequence_windows,
    sequences_from_table,
    sequences_to_table,
)
from sinet_pipelines.applications.turbofan.schemas.features import EVALUATION_SEQUENCES, LIVE_SEQUENCES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import ContractError
from sinet_pipelines.schemas.contract import DataClass
from tests.sinet_pipelines.applications.turbofan.features.engines import engines

FLEET = engines(95, 33, 5, missing=0.2)


def _asked(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"unit": pl.String, "cycle": pl.Int32}, orient="row")


def _channels(unit: str, cycle: int) -> np.ndarray:
    row = FLEET.filter(pl.col("unit") == unit, pl.col("cycle") == cycle).select(CHANNELS)
    return row.to_numpy()[0].astype(np.float32) if len(row) else np.full(len(CHANNELS), np.nan, dtype=np.float32)


def test_a_window_holds_the_thirty_cycles_up_to_the_asked_one():
    at = FLEET.sample(12, seed=1).select("unit", "cycle")
    sequences = sequence_windows(FLEET, at=at)
    for b, (unit, cycle) in enumerate(at.iter_rows()):
        expected = np.stack([_channels(unit, c) for c in range(cycle - 29, cycle + 1)])
        np.testing.assert_array_equal(sequences.window_BTC[b], expected)


def test_first_cycles_hide_those_not_yet_flown():
    rows = FLEET.filter(pl.col("unit") == "FD00X-0001")["cycle"]
    early, late = int(rows[3]), int(rows[-1])
    sequences = sequence_windows(FLEET, at=_asked(("FD00X-0001", early), ("FD00X-0001", late)))
    for b, requested in enumerate((early, late)):
        expected = np.stack([_channels("FD00X-0001", c if c <= requested else 0) for c in range(1, 11)])
        np.testing.assert_array_equal(sequences.first_cycles_BTC[b], expected)


def test_shapes_are_those_of_the_served_model():
    sequences = sequence_windows(FLEET, at=FLEET.head(3).select("unit", "cycle"))
    assert sequences.window_BTC.shape == (3, 30, len(CHANNELS))
    assert sequences.first_cycles_BTC.shape == (3, 10, len(CHANNELS))
    assert sequences.window_BTC.dtype == sequences.first_cycles_BTC.dtype == np.float32
    assert len(sequences) == 3


def test_the_order_asked_is_the_order_given():
    at = FLEET.sample(9, seed=4).select("unit", "cycle")
    sequences = sequence_windows(FLEET.reverse(), at=at)
    assert list(sequences.unit) == at["unit"].to_list()
    np.testing.assert_array_equal(sequences.cycle_B, at["cycle"].to_numpy())


def test_a_row_that_is_not_there_cannot_be_asked():
    with pytest.raises(ContractError, match="no cycle 96 of engine FD00X-0001"):
        sequence_windows(FLEET, at=_asked(("FD00X-0001", 96)))


def test_nothing_asked_is_nothing_answered():
    assert len(sequence_windows(FLEET, at=_asked())) == 0


def test_a_table_gives_the_same_sequences_back():
    rows = FLEET.sample(7, seed=2)
    sequences = sequence_windows(FLEET, at=rows.select("unit", "cycle"))
    table = sequences_to_table(sequences, rows=rows)
    assert table.schema == EVALUATION_SEQUENCES.schema == LIVE_SEQUENCES.schema
    assert table["row_hash"].to_pylist() == rows["row_hash"].to_list()
    again = sequences_from_table(table)
    assert again.unit == sequences.unit
    np.testing.assert_array_equal(again.window_BTC, sequences.window_BTC)
    np.testing.assert_array_equal(again.first_cycles_BTC, sequences.first_cycles_BTC)


def test_a_sliced_table_gives_the_sequences_of_its_rows():
    rows = FLEET.sample(7, seed=2)
    sequences = sequence_windows(FLEET, at=rows.select("unit", "cycle"))
    again = sequences_from_table(sequences_to_table(sequences, rows=rows).slice(2, 3))
    np.testing.assert_array_equal(again.window_BTC, sequences.take(np.array([2, 3, 4])).window_BTC)


def test_a_table_of_other_windows_is_refused():
    rows = FLEET.head(2)
    table = sequences_to_table(sequence_windows(FLEET, at=rows.select("unit", "cycle")), rows=rows)
    short = table.set_column(4, "window", table["first_cycles"])
    with pytest.raises(
        ContractError, match=rf"window has lists of \[{10 * len(CHANNELS)}\] values \(allowed: {30 * len(CHANNELS)}\)"
    ):
        sequences_from_table(short)


def test_windows_of_channels_are_of_class_sequence():
    assert EVALUATION_SEQUENCES.data_class == LIVE_SEQUENCES.data_class == DataClass.SEQUENCE


def test_a_region_without_rows_has_a_table_without_rows():
    none = engines(40).head(0)
    table = sequences_to_table(sequence_windows(none, at=none.select("unit", "cycle")), rows=none)
    assert table.num_rows == 0
    assert len(sequences_from_table(table)) == 0
