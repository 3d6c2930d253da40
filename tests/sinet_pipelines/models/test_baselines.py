import dataclasses

import numpy as np
import pytest

from sinet_pipelines.models.baselines import Constant, Ridge
from tests.sinet_pipelines.models.examples import examples


def test_the_constant_is_the_mean_over_engines_not_rows():
    """Lives of 2 and 4 have means (1 + 0) / 2 and (3 + 2 + 1 + 0) / 4; their mean is 1, the mean of rows 7 / 6."""
    known = examples(lives=(2, 4), sequences=False)
    np.testing.assert_allclose(Constant().fit(known, seed=0).predict(known.inputs), 1.0)


def test_the_ridge_is_that_of_scikit_learn():
    from sklearn.linear_model import Ridge as Peer
    from sklearn.preprocessing import StandardScaler

    known = examples(sequences=False)
    x_BF = known.inputs.features_BF[:, :2].astype(np.float64)
    scaler = StandardScaler().fit(x_BF, sample_weight=known.weight_B)
    peer = Peer(alpha=0.01 * len(known)).fit(scaler.transform(x_BF), known.target_B, sample_weight=known.weight_B)
    expected = np.clip(peer.predict(scaler.transform(x_BF)), 0, 125)
    np.testing.assert_allclose(Ridge(penalty=0.01).fit(known, seed=0).predict(known.inputs), expected, atol=1e-8)


def test_copies_of_one_feature_share_its_weight():
    known = examples(sequences=False)
    twice = dataclasses.replace(
        known.inputs, features_BF=known.inputs.features_BF[:, [0, 0]], feature_names=("wear", "again")
    )
    weights = Ridge().fit(dataclasses.replace(known, inputs=twice), seed=0).weights
    assert weights[0] == pytest.approx(weights[1])
    assert weights[0] < 0


def test_a_constant_feature_has_no_weight():
    assert Ridge().fit(examples(sequences=False), seed=0).weights[2] == 0.0
