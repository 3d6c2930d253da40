import dataclasses
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.models.families import FAMILIES
from sinet_pipelines.quantization.agreement import check_agreement
from sinet_pipelines.quantization.export import export, source_sha256
from sinet_pipelines.quantization.session import answer, median_latency_us, open_session
from sinet_pipelines.schemas.features import FEATURE_NAMES

HALF_ULP_AT_128 = 2.0**-18


SMALL = {"gradient_boosting": {"trees": 20}}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_answers_from_raw_windows_as_from_features(family, examples, inputs, sequences, regimes):
    model = dataclasses.replace(FAMILIES[family], **SMALL.get(family, {})).fit(examples, seed=3)
    served = export(model, regimes=regimes, family=family)
    check_agreement(served, sequences, model.predict(inputs)).require()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), leaves=st.integers(2, 31))
def test_any_forest_is_served_to_the_last_bit(grow, inputs, sequences, regimes, seed, leaves):
    """Targets of noise: splits wherever they fall, answers below 0 and above 125."""
    target = np.random.default_rng(seed).normal(60.0, 80.0, size=len(inputs))
    model = grow(inputs, target, num_leaves=leaves, seed=seed % 1000)
    found = answer(open_session(export(model, regimes=regimes, family="any")), sequences)["rul_cycles"]
    assert np.abs(found - model.predict(inputs)).max() <= HALF_ULP_AT_128


def test_answers_are_clipped_at_both_ends(grow, inputs, sequences, regimes):
    model = grow(inputs, np.linspace(-500.0, 500.0, len(inputs)))
    found = answer(open_session(export(model, regimes=regimes, family="any")), sequences)["rul_cycles"]
    assert (found.min(), found.max()) == (0.0, 125.0)


def test_a_row_alone_is_answered_as_among_others(served, sequences):
    session = open_session(served)
    together = answer(session, sequences)["rul_cycles"]
    alone = [answer(session, sequences.take(np.array([row])))["rul_cycles"][0] for row in range(len(sequences))]
    np.testing.assert_array_equal(alone, together)


def test_an_absent_asked_cycle_is_answered_with_no_number(served, sequences):
    window = sequences.window_BTC.copy()
    window[4, -1] = np.nan
    found = answer(open_session(served), dataclasses.replace(sequences, window_BTC=window))["rul_cycles"]
    assert np.flatnonzero(np.isnan(found)).tolist() == [4]


def test_signature_is_that_of_the_served_model(served):
    session = open_session(served)
    shapes = {tensor.name: (tensor.type, tensor.shape) for tensor in session.get_inputs() + session.get_outputs()}
    assert shapes == {
        "window": ("tensor(float)", ["batch", 30, 24]),
        "first_cycles": ("tensor(float)", ["batch", 10, 24]),
        "cycle": ("tensor(float)", ["batch", 1]),
        "rul_cycles": ("tensor(float)", ["batch", 1]),
    }


def test_a_model_says_what_it_is(served, forest, regimes):
    said = {prop.key: prop.value for prop in onnx.load_from_string(served).metadata_props}
    assert said == {
        "family": "gradient_boosting",
        "feature_count": str(len(FEATURE_NAMES)),
        "regimes_version": regimes.version,
        "source_sha256": source_sha256(forest),
    }


def test_the_same_model_gives_the_same_bytes_in_another_process(served, forest, regimes, tmp_path):
    (tmp_path / "source.json").write_text(
        json.dumps({"text": forest.text, "names": forest.feature_names, "regimes": regimes.to_json()})
    )
    program = (
        "import hashlib, json, sys\n"
        "from sinet_pipelines.features.regimes import OperatingRegimes\n"
        "from sinet_pipelines.models.gradient_boosting import BoostedModel\n"
        "from sinet_pipelines.quantization.export import export\n"
        "said = json.load(open(sys.argv[1]))\n"
        "model = BoostedModel(tuple(said['names']), said['text'])\n"
        "served = export(model, regimes=OperatingRegimes.from_json(said['regimes']), family='gradient_boosting')\n"
        "print(hashlib.sha256(served).hexdigest())\n"
        "assert not {'lightgbm', 'torch', 'onnxruntime'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path / "source.json")]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert found == hashlib.sha256(served).hexdigest()


def test_other_regimes_give_another_model(served, forest, regimes):
    moved = dataclasses.replace(regimes, row_counts=tuple(count + 1 for count in regimes.row_counts))
    assert export(forest, regimes=moved, family="gradient_boosting") != served


def test_a_model_on_some_features_gets_these_in_its_own_order(grow, examples, sequences, regimes):
    some = tuple(reversed(FEATURE_NAMES[5:60:7]))
    columns = [FEATURE_NAMES.index(name) for name in some]
    inputs = dataclasses.replace(
        examples.inputs, features_BF=np.ascontiguousarray(examples.inputs.features_BF[:, columns]), feature_names=some
    )
    model = grow(inputs, examples.target_B)
    check_agreement(
        export(model, regimes=regimes, family="gradient_boosting"), sequences, model.predict(inputs)
    ).require()


def test_an_unknown_feature_is_refused(forest, regimes):
    odd = dataclasses.replace(forest, feature_names=("moon_phase", *forest.feature_names[1:]))
    with pytest.raises(DisagreementError, match="moon_phase"):
        export(odd, regimes=regimes, family="gradient_boosting")


def test_a_model_without_a_graph_is_refused(regimes):
    with pytest.raises(DisagreementError, match="no graph for a str .known: BoostedModel, LinearModel"):
        export("a string", regimes=regimes, family="words")


def test_size_and_latency_of_a_forest_of_400_trees(grow, inputs, sequences, examples, regimes):
    model = grow(inputs, examples.target_B, trees=400, num_leaves=15)
    served = export(model, regimes=regimes, family="gradient_boosting")
    latency_us = median_latency_us(open_session(served), sequences, calls=300)
    print(f"\n{len(model.text):,} bytes of text -> {len(served):,} of ONNX; one engine in {latency_us:.0f} us")
    assert len(served) < 0.6 * len(model.text)  # pre-processing included
    assert latency_us < 5_000  # tens of times what it takes: a busy machine passes, a graph run row by row does not
