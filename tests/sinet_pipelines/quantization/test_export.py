import dataclasses
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinet_pipelines.applications.turbofan.families import FAMILIES as OF_TURBOFAN
from sinet_pipelines.applications.turbofan.features.sequences import sequence_windows
from sinet_pipelines.applications.turbofan.graph.request_contract import request_contract
from sinet_pipelines.applications.turbofan.schemas.features import FEATURE_NAMES
from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.errors import DisagreementError
from sinet_pipelines.models.blend import Blend
from sinet_pipelines.models.families import FAMILIES
from sinet_pipelines.models.interval import Interval
from sinet_pipelines.models.model import Family
from sinet_pipelines.models.task import Kind
from sinet_pipelines.quantization.export import source_sha256
from tests.sinet_pipelines.quantization.windows import (
    answer,
    check_agreement,
    export,
    median_latencies_us,
    open_session,
)

REGRESSIONS = {name: family for name, family in {**FAMILIES, **OF_TURBOFAN}.items() if Kind.REGRESSION in family.kinds}
HALF_ULP_AT_128 = 2.0**-18


SMALL = {"trees": 20, "epochs": 3}  # of what a family has


def small(family: Family) -> Family:
    if isinstance(family, Blend):
        return dataclasses.replace(family, members=tuple(small(member) for member in family.members))
    has = {field.name for field in dataclasses.fields(family)}
    return dataclasses.replace(family, **{name: value for name, value in SMALL.items() if name in has})


@pytest.mark.parametrize("family", sorted(REGRESSIONS))
def test_every_family_answers_from_raw_windows_as_from_features(family, examples, inputs, sequences, regimes, interval):
    model = small(REGRESSIONS[family]).fit(examples, seed=3)
    served = export(model, regimes=regimes, family=family, interval=interval)
    predicted = model.predict(inputs)
    expected = dict(
        zip(("rul_cycles", "lower_cycles", "upper_cycles"), (predicted, *interval.around(predicted)), strict=True)
    )
    for output, values in expected.items():
        agreement = check_agreement(served, sequences, values, output=output)
        agreement.require()
        assert agreement.max_abs_difference <= 5e-5  # half of what is allowed


def test_every_family_gives_the_same_bytes_twice(examples, regimes, interval):
    for name, family in REGRESSIONS.items():
        model = small(family).fit(examples, seed=3)
        again = family.load(model.files(), task=model.task)
        first, second = (export(one, regimes=regimes, family=name, interval=interval) for one in (model, again))
        assert first == second, name


@pytest.mark.parametrize("part", ["conv0.weight", "conv2.bias", "dense0.bias", "out.weight", "statistic_means"])
def test_a_network_with_a_weight_that_is_no_number_answers_none(network, regimes, sequences, interval, part):
    """No minimum, maximum or rectifier on the way may make a number of it."""
    broken = {**network.weights, part: np.full_like(network.weights[part], np.nan)}
    model = dataclasses.replace(network, weights=broken)
    answers = answer(open_session(export(model, regimes=regimes, family="net", interval=interval)), sequences)
    assert sorted(answers) == ["lower_cycles", "rul_cycles", "upper_cycles"]
    assert all(np.isnan(values).all() for values in answers.values())


def test_ends_of_an_interval_have_no_number_where_the_answer_has_none(served_network, sequences):
    window = sequences.window_BTC.copy()
    window[4, -1] = np.nan
    answers = answer(open_session(served_network), dataclasses.replace(sequences, window_BTC=window))
    for values in answers.values():
        assert np.flatnonzero(np.isnan(values)).tolist() == [4]


def test_an_engine_of_which_only_the_last_cycles_are_known_is_answered_nan(served_network, fleet):
    last = fleet.filter(pl.col("cycle") > pl.col("cycle").max().over("unit") - 30)
    at = last.group_by("unit", maintain_order=True).agg(pl.col("cycle").max()).filter(pl.col("cycle") > 40)
    assert at.height >= 3
    answers = answer(open_session(served_network), sequence_windows(last, at=at))
    assert all(np.isnan(values).all() for values in answers.values())


def test_ends_of_an_interval_stay_within_the_range_of_the_target(forest, inputs, sequences, regimes):
    wide = Interval(level=0.9, knots=(60.0,), half_widths=(500.0,), range=(0.0, 125.0))
    answers = answer(open_session(export(forest, regimes=regimes, family="any", interval=wide)), sequences)
    assert set(answers["lower_cycles"].tolist()) == {0.0}
    assert set(answers["upper_cycles"].tolist()) == {125.0}


def test_an_interval_is_part_of_the_graph_and_leaves_the_answer_as_it_is(forest, served, sequences, regimes, interval):
    with_ends = export(forest, regimes=regimes, family="gradient_boosting", interval=interval)
    metadata = {prop.key: prop.value for prop in onnx.load_from_string(with_ends).metadata_props}
    assert metadata["interval_level"] == "0.9"
    plain, also = (answer(open_session(graph), sequences)["rul_cycles"] for graph in (served, with_ends))
    np.testing.assert_array_equal(plain, also)


@pytest.mark.slow
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
        "window": ("tensor(float)", ["batch", 30, len(CHANNELS)]),
        "first_cycles": ("tensor(float)", ["batch", 10, len(CHANNELS)]),
        "cycle": ("tensor(float)", ["batch", 1]),
        "rul_cycles": ("tensor(float)", ["batch", 1]),
    }


def test_a_model_says_what_it_is(served, forest, regimes):
    metadata = {prop.key: prop.value for prop in onnx.load_from_string(served).metadata_props}
    assert metadata == {
        "family": "gradient_boosting",
        "feature_count": str(len(FEATURE_NAMES)),
        "regimes_version": regimes.version,
        "source_sha256": source_sha256(forest),
        "request_contract": request_contract(),
    }


def test_the_same_model_gives_the_same_bytes_in_another_process(served, forest, regimes, tmp_path):
    (tmp_path / "source.json").write_text(
        json.dumps({"text": forest.text, "names": forest.feature_names, "regimes": regimes.to_json()})
    )
    program = (
        "import hashlib, json, sys\n"
        "from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes\n"
        "from sinet_pipelines.models.gradient_boosting import BoostedModel\n"
        "from sinet_pipelines.applications.turbofan.graph.served import WindowPreparation\n"
        "from sinet_pipelines.applications.turbofan.task import RUL\n"
        "from sinet_pipelines.quantization.export import export\n"
        "given = json.load(open(sys.argv[1]))\n"
        "model = BoostedModel(tuple(given['names']), given['text'], RUL)\n"
        "preparation = WindowPreparation(OperatingRegimes.from_json(given['regimes']))\n"
        "served = export(model, preparation=preparation, family='gradient_boosting')\n"
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
    graph = export(model, regimes=regimes, family="gradient_boosting")
    assert check_agreement(graph, sequences, model.predict(inputs)).passed


def test_an_unknown_feature_is_refused(forest, regimes):
    odd = dataclasses.replace(forest, feature_names=("moon_phase", *forest.feature_names[1:]))
    with pytest.raises(DisagreementError, match="moon_phase"):
        export(odd, regimes=regimes, family="gradient_boosting")


def test_a_model_without_a_graph_is_refused(regimes):
    with pytest.raises(
        DisagreementError, match="no graph for a str .known: BlendModel, BoostedModel, ConvolutionModel"
    ):
        export("a string", regimes=regimes, family="words")


@pytest.mark.slow
def test_size_and_latency_of_a_forest_of_400_trees(grow, inputs, sequences, examples, regimes):
    model = grow(inputs, examples.target_B, trees=400, num_leaves=15)
    served = export(model, regimes=regimes, family="gradient_boosting")
    latency_us = median_latencies_us({"": open_session(served)}, sequences, calls=300)[""]
    print(f"\n{len(model.text):,} bytes of text -> {len(served):,} of ONNX; one engine in {latency_us:.0f} us")
    assert len(served) < 0.6 * len(model.text)  # pre-processing included
    assert latency_us < 5_000  # tens of times what it takes: a busy machine passes, a graph run row by row does not
