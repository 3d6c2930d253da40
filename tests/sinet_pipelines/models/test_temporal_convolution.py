import dataclasses

import numpy as np
import pytest

from sinet_pipelines.errors import ContractError
from sinet_pipelines.models.descent import Scale, standardised
from sinet_pipelines.models.temporal_convolution import RECEPTIVE_FIELD, TemporalConvolution, _groups
from tests.sinet_pipelines.models.examples import examples

KNOWN = examples()
QUICK = TemporalConvolution(epochs=2, channels=4)


def test_predictions_on_whole_groups_equal_those_on_windows():
    """The loss of the training pass (torch, whole lives side by side) is that of the answers (numpy, windows)."""
    import torch

    model = QUICK.fit(KNOWN, seed=1)
    net = QUICK._net(KNOWN.inputs.sequences.z_LS.shape[1], len(model.statistic_names)).eval()
    names = dict(net.named_parameters())
    net.load_state_dict({name: torch.from_numpy(model.weights[name]) for name in names})
    columns = [KNOWN.inputs.feature_names.index(name) for name in model.statistic_names]
    scaled = KNOWN.inputs.features_BF[:, columns] - model.weights["statistic_means"]
    target = Scale(model.target_mean, model.target_sd)
    engines = _groups(KNOWN, scaled / model.weights["statistic_sds"], target, device_name="cpu")
    with torch.no_grad():
        loss = float(QUICK._loss(net, engines))
    answered = standardised(model.predict(KNOWN.inputs), target)  # within the range here, so nothing is clipped
    expected = np.average((answered - standardised(KNOWN.target_B, target)) ** 2, weights=KNOWN.weight_B)
    assert model.predict(KNOWN.inputs).max() < 125.0
    assert loss == pytest.approx(expected, rel=1e-5)


def test_it_learns_a_function_of_the_sequence_alone():
    """A sensor that falls with the cycles left, in noise, and no feature that says so."""
    teller = dataclasses.replace(KNOWN.inputs.sequences, z_LS=KNOWN.inputs.sequences.z_LS.copy())
    teller.z_LS[teller.place_B, 5] = (-KNOWN.target_B / 40 + 1).astype(np.float32)
    silent = dataclasses.replace(KNOWN.inputs, features_BF=np.zeros_like(KNOWN.inputs.features_BF), sequences=teller)
    known = dataclasses.replace(KNOWN, inputs=silent)
    network = TemporalConvolution(epochs=40, channels=8, groups_in_batch=1, channel_dropout=0.0, dropout=0.0)
    errors = network.fit(known, seed=0).predict(silent) - known.target_B
    assert np.sqrt(np.mean(errors**2)) < 0.3 * known.target_B.std()


def test_it_reads_no_step_before_its_receptive_field():
    model, sequences = QUICK.fit(KNOWN, seed=0), KNOWN.inputs.sequences
    row = int(np.flatnonzero(KNOWN.order_B == 50)[0])
    requested = KNOWN.inputs.take(np.array([row]))
    changed = {}
    for back in (RECEPTIVE_FIELD - 1, RECEPTIVE_FIELD):
        answers, rng = {model.predict(requested)[0]}, np.random.default_rng(0)
        for _ in range(20):  # one alone may be cut off by a rectifier or by the range
            z_LS = sequences.z_LS.copy()
            z_LS[sequences.place_B[row] - back] += rng.normal(0, 10, z_LS.shape[1])
            other = dataclasses.replace(requested, sequences=dataclasses.replace(requested.sequences, z_LS=z_LS))
            answers.add(model.predict(other)[0])
        changed[back] = len(answers) > 1
    assert changed == {RECEPTIVE_FIELD - 1: True, RECEPTIVE_FIELD: False}


def test_later_cycles_do_not_change_a_prediction():
    model, sequences = QUICK.fit(KNOWN, seed=0), KNOWN.inputs.sequences
    row = int(np.flatnonzero(KNOWN.order_B == 40)[0])
    requested = KNOWN.inputs.take(np.array([row]))
    z_LS = sequences.z_LS.copy()
    z_LS[sequences.place_B[row] + 1 :] = 7.0
    later = dataclasses.replace(requested, sequences=dataclasses.replace(requested.sequences, z_LS=z_LS))
    assert model.predict(later)[0] == model.predict(requested)[0]


def test_missing_sequences_are_an_error():
    bare = dataclasses.replace(KNOWN.inputs, sequences=None)
    with pytest.raises(ContractError, match="no sequences for 525 rows"):
        QUICK.fit(dataclasses.replace(KNOWN, inputs=bare), seed=0)
    with pytest.raises(ContractError, match="no sequences for 525 rows"):
        QUICK.fit(KNOWN, seed=0).predict(bare)


def test_another_seed_is_another_network():
    assert QUICK.fit(KNOWN, seed=0).files() != QUICK.fit(KNOWN, seed=1).files()
