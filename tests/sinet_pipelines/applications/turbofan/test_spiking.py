"""The spiking network: its neurons as written out in numpy, what it learns, and what it leaves behind."""

import dataclasses

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.schemas.features import WINDOW_CYCLES
from sinet_pipelines.applications.turbofan.schemas.telemetry import SENSORS
from sinet_pipelines.applications.turbofan.spiking import FILE, LEAK, READ_OUT_LEAK, THRESHOLD, SpikingNetwork
from sinet_pipelines.errors import ContractError
from sinet_pipelines.features.splits import group_folds
from sinet_pipelines.metrics.regression import rmse
from sinet_pipelines.models.baselines import Constant
from tests.sinet_pipelines.models.examples import examples

SMALL = SpikingNetwork(epochs=2, hidden=8, every_nth_row=2, rows_in_batch=64)


def worn(seed=0):
    """Examples in which the first sensor says how long is left, in noise; lives differ, so that age says little."""
    found = examples(seed=seed, lives=(60, 140, 75, 120, 80, 100, 130, 66, 110))
    sequences = found.inputs.sequences
    z_LS = sequences.z_LS.copy()
    z_LS[sequences.place_B, 0] += (3.0 - np.minimum(found.truth_B, 125) / 30).astype(np.float32)
    inputs = dataclasses.replace(found.inputs, sequences=dataclasses.replace(sequences, z_LS=z_LS))
    return dataclasses.replace(found, inputs=inputs)


@pytest.fixture(scope="module")
def model():
    return SMALL.fit(examples(), seed=0)


def written_out(model, sequences):
    """The answer of each row by neurons that are written out: (B,) cycles, and each layer's spikes a neuron and cycle.

    A neuron keeps a share of its potential, adds its current, and pays the threshold one cycle after it was above it.
    """
    w = {name: value.astype(np.float64) for name, value in model.weights.items()}
    answers, counts = [], []
    for window_TS, baseline_S, cycle in zip(sequences.windows(), sequences.baseline_BS, sequences.cycle_B, strict=True):
        first, second = np.zeros(len(w["current0.bias"])), np.zeros(len(w["current1.bias"]))
        read_out, fired = 0.0, np.zeros(2)
        for z_S in window_TS:
            current = w["current0.weight"] @ z_S + w["current0.bias"] + w["steady.weight"] @ baseline_S
            first = LEAK * first + current - THRESHOLD * (first > THRESHOLD)
            spikes = (first > THRESHOLD).astype(np.float64)
            second = LEAK * second + w["current1.weight"] @ spikes + w["current1.bias"] - (second > THRESHOLD)
            heard = (second > THRESHOLD).astype(np.float64)
            read_out = READ_OUT_LEAK * read_out + (1 - READ_OUT_LEAK) * (w["read_out.weight"] @ heard)[0]
            fired += [spikes.mean(), heard.mean()]
        age = (cycle - w["age_mean"][0]) / w["age_sd"][0]
        out = read_out + w["age.weight"][0, 0] * age + w["age.bias"][0]
        answers.append(np.clip(model.target_mean + model.target_sd * out, 0, 125))
        counts.append(fired / WINDOW_CYCLES)
    return np.array(answers), np.mean(counts, axis=0)


def test_neurons_are_leaky_and_fire_as_written_out(model):
    requested = examples().inputs.take(np.arange(0, 400, 9))
    answers_B, rates = written_out(model, requested.sequences)
    # the leaks are float32 in snntorch: 0.9 is 0.8999999762
    np.testing.assert_allclose(model.predict(requested), answers_B, rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.firing_rates(requested), rates, rtol=0, atol=1e-9)


def test_a_few_of_the_neurons_fire(model):
    rates = model.firing_rates(examples().inputs)
    assert len(rates) == 2
    assert all(0.0 < rate < 0.6 for rate in rates)


def test_who_is_asked_nothing_does_not_fire(model):
    assert model.firing_rates(examples().inputs.take(np.array([], dtype=int))) == (0.0, 0.0)


@pytest.mark.slow
def test_it_reads_the_sensors():
    known = worn()
    inside = group_folds(known.group_B, folds=3, seed=0) == 0
    taught, requested = known.take(~inside), known.take(inside)
    network = SpikingNetwork(hidden=32, every_nth_row=1, rows_in_batch=64)
    error = rmse(network.fit(taught, seed=0).predict(requested.inputs), requested.target_B)
    constant = rmse(Constant().fit(taught, seed=0).predict(requested.inputs), requested.target_B)
    assert error < 0.75 * constant


def test_a_path_of_epochs_passes_through_the_fits_of_fewer():
    first, second = SMALL.fit_path(examples(), seed=3)
    assert second.files() == SMALL.fit(examples(), seed=3).files()
    assert first.files() == dataclasses.replace(SMALL, epochs=1).fit(examples(), seed=3).files()
    assert first.files() != second.files()


def test_other_seeds_give_other_weights(model):
    assert SMALL.fit(examples(), seed=1).files() != model.files()


def test_one_file_says_all(model):
    files = model.files()
    assert list(files) == [FILE]
    again = SMALL.load(files, task=model.task)
    assert (again.target_mean, again.target_sd) == (model.target_mean, model.target_sd)
    assert again.feature_names == model.feature_names
    assert {name: value.dtype for name, value in again.weights.items()} == dict.fromkeys(model.weights, np.float32)


def test_who_has_no_sequences_is_refused(model):
    without = dataclasses.replace(examples().inputs, sequences=None)
    with pytest.raises(ContractError, match="no sequences"):
        model.predict(without)
    with pytest.raises(ContractError, match="no sequences"):
        SMALL.fit(examples(sequences=False), seed=0)


def test_no_neuron_is_left_in_snntorchs_list(model):
    import snntorch

    model.predict(examples().inputs)
    assert snntorch.Leaky.instances == []


def test_its_shape_is_that_of_its_weights(model):
    assert model.shape.widths == (8, 8, 1)
    assert (model.shape.steps, model.shape.stepped_inputs, model.shape.fixed_inputs) == (30, len(SENSORS), len(SENSORS))
