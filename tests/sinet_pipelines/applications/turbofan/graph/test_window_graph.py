import dataclasses

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.features.completeness import are_answerable
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows
from sinet_pipelines.applications.turbofan.features.windows import rolling_statistics, window_features
from sinet_pipelines.applications.turbofan.graph.window_graph import INPUTS, write_signals
from sinet_pipelines.applications.turbofan.graph.window_graph import tensors_of as feed
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSOR_NAMES
from sinet_pipelines.quantization.graph import GraphWriter


def session_of(regimes) -> ort.InferenceSession:
    graph = GraphWriter()
    signals = write_signals(graph, regimes)
    outputs = {
        "features": (graph.cast(signals.features, np.float32), (len(FEATURE_NAMES),)),
        "answerable": (graph.cast(signals.answerable, np.float32), (1,)),
    }
    return ort.InferenceSession(graph.finish(inputs=INPUTS, outputs=outputs, metadata={}))


@pytest.fixture(scope="module")
def sequences(fleet):
    """Every row, also those that lack too many cycles to be answered."""
    return sequence_windows(fleet, at=fleet)


@pytest.fixture(scope="module")
def session(regimes):
    return session_of(regimes)


def computed(session, sequences) -> np.ndarray:
    return session.run(["features"], feed(sequences))[0]


def test_the_fleet_has_gaps_and_partial_windows(sequences):
    present = ~np.isnan(sequences.window_BTC[:, :, 0])
    assert present.sum(axis=1).min() == 1
    assert (present.sum(axis=1) < 30).mean() > 0.5
    assert np.isnan(sequences.first_cycles_BTC[sequences.cycle_B > 10]).any()


def test_every_row_has_the_features_of_the_table(session, fleet, regimes, sequences):
    early = fleet.filter(pl.col("cycle") <= 10)
    table = rolling_statistics(fleet, first_cycles=early, regimes=regimes)
    requested = fleet.select("unit", "cycle").join(table, on=["unit", "cycle"], how="left", maintain_order="left")
    expected = requested.select(FEATURE_NAMES).to_numpy()
    # Sums may run in another order, which shows in the last bit of float32 and nowhere near zero.
    np.testing.assert_array_max_ulp(computed(session, sequences), expected, maxulp=1)


def test_features_reach_a_model_rounded_to_float32(regimes, sequences):
    """An optimiser that dropped the way through float32 and back would leave a rest here, and rows on wrong sides."""
    graph = GraphWriter()
    features = write_signals(graph, regimes).features
    rest = graph.node("Sub", features, graph.cast("expected", np.float64))
    outputs = {"rest": (graph.cast(rest, np.float32), (len(FEATURE_NAMES),))}
    inputs = {**INPUTS, "expected": (len(FEATURE_NAMES),)}
    session = ort.InferenceSession(graph.finish(inputs=inputs, outputs=outputs, metadata={}))
    expected = window_features(sequences, regimes)
    rest = np.abs(session.run(None, {**feed(sequences), "expected": expected})[0])
    one_ulp = np.spacing(np.abs(expected))
    assert np.all((rest == 0) | (rest == one_ulp))
    assert np.mean(rest == 0) > 0.999


def test_a_constant_sensor_is_exactly_zero_in_every_feature(session, sequences):
    named = [i for i, name in enumerate(FEATURE_NAMES) if name.startswith(("t2_degr_z", "p2_psia_z"))]
    assert len(named) == 2 * (len(FEATURE_NAMES) - 1) // len(SENSOR_NAMES)
    assert not computed(session, sequences)[:, named].any()


def test_a_row_alone_has_the_features_it_has_among_others(session, sequences):
    together = computed(session, sequences)
    for row in (0, 7, len(sequences) - 1):
        np.testing.assert_array_equal(computed(session, sequences.take(np.array([row])))[0], together[row])


def test_no_rows_give_no_features(session, sequences):
    assert computed(session, sequences.take(np.array([], dtype=int))).shape == (0, len(FEATURE_NAMES))


def test_first_cycles_that_had_not_been_flown_are_not_looked_at(session, sequences):
    young = sequences.take(sequences.cycle_B < 10)
    reported = young.first_cycles_BTC.copy()
    reported[np.isnan(reported)] = 1e6
    flown = np.arange(1, 11)[None, :] <= young.cycle_B[:, None]
    reported[flown] = young.first_cycles_BTC[flown]
    unflown_told = dataclasses.replace(young, first_cycles_BTC=reported)
    np.testing.assert_array_equal(computed(session, unflown_told), computed(session, young))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_cycle_with_one_channel_that_is_no_number_is_absent(session, fleet, sequences, wrong):
    row = int(np.flatnonzero(sequences.cycle_B == 40)[0])
    requested = sequences.take(np.array([row]))
    spoilt, absent = requested.window_BTC.copy(), requested.window_BTC.copy()
    spoilt[0, 20, 5] = wrong
    absent[0, 20] = np.nan
    expected = computed(session, dataclasses.replace(requested, window_BTC=absent))
    np.testing.assert_array_equal(computed(session, dataclasses.replace(requested, window_BTC=spoilt)), expected)


def test_a_row_is_answerable_when_its_own_cycle_is_there(session, sequences):
    sequences = sequences.take(are_answerable(sequences))
    window = sequences.window_BTC.copy()
    window[::2, -1] = np.nan
    tensors = feed(dataclasses.replace(sequences, window_BTC=window))
    tensors["cycle"][1] = np.nan
    tensors["cycle"][3] = np.inf
    answerable = session.run(["answerable"], tensors)[0][:, 0]
    assert not answerable[::2].any()
    assert not answerable[[1, 3]].any()
    assert answerable[5::2].all()


def keep_cycles(values, n):
    """The values with the first n of the cycles that are there, the others absent."""
    kept = values.copy()
    there = ~np.isnan(kept).any(axis=2)
    kept[there.cumsum(axis=1) > n] = np.nan
    return kept


@pytest.mark.parametrize("n", range(11))
def test_a_row_is_answerable_when_half_of_the_first_cycles_that_were_flown_are_there(session, sequences, n):
    requested = dataclasses.replace(sequences, first_cycles_BTC=keep_cycles(sequences.first_cycles_BTC, n))
    answerable = session.run(["answerable"], feed(requested))[0][:, 0].astype(bool)
    seen = (~np.isnan(requested.first_cycles_BTC).any(axis=2)).sum(axis=1)
    in_window = (~np.isnan(requested.window_BTC).any(axis=2)).sum(axis=1)
    enough = (2 * seen >= np.minimum(sequences.cycle_B, 10)) & (3 * in_window >= 2 * np.minimum(sequences.cycle_B, 30))
    np.testing.assert_array_equal(answerable, enough)
    np.testing.assert_array_equal(answerable, are_answerable(requested))
    assert answerable[sequences.cycle_B > 10].any() == (n >= 5)


@pytest.mark.parametrize("n", [0, 1, 10, 18, 19, 20, 21, 29])
def test_a_row_is_answerable_when_two_thirds_of_its_last_cycles_are_there(session, sequences, n):
    window = keep_cycles(sequences.window_BTC[:, ::-1], n)[:, ::-1]  # the newest n
    requested = dataclasses.replace(sequences, window_BTC=np.ascontiguousarray(window))
    answerable = session.run(["answerable"], feed(requested))[0][:, 0].astype(bool)
    np.testing.assert_array_equal(answerable, are_answerable(requested))
    assert answerable[sequences.cycle_B >= 30].any() == (n >= 20)


@pytest.mark.parametrize("cycle", [0.0, -5.0, 100_001.0, 1e30, -np.inf])
def test_a_cycle_that_no_engine_flies_is_not_answerable(session, sequences, cycle):
    tensors = feed(sequences)
    tensors["cycle"][:] = cycle
    assert not session.run(["answerable"], tensors)[0].any()


def test_a_row_between_regimes_goes_to_the_nearest(regimes, fleet):
    """Settings moved half-way to the next altitude, and a little more or less, as the offline code assigns them."""
    moved = fleet.with_columns(pl.col("altitude_kft") + pl.Series(np.linspace(-6.0, 6.0, len(fleet))))
    requested = sequence_windows(moved, at=moved)
    early = moved.filter(pl.col("cycle") <= 10)
    table = rolling_statistics(moved, first_cycles=early, regimes=regimes)
    expected = moved.select("unit", "cycle").join(table, on=["unit", "cycle"], how="left", maintain_order="left")
    np.testing.assert_array_max_ulp(
        computed(session_of(regimes), requested), expected.select(FEATURE_NAMES).to_numpy(), maxulp=1
    )
