import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import numpy_helper

from sinet_pipelines.applications.turbofan.graph.calibration_rows import last_regimes
from sinet_pipelines.applications.turbofan.graph.served import quantize_by_regime as quantize
from sinet_pipelines.errors import ContractError, QuantizationError
from sinet_pipelines.models.blend import BlendModel
from sinet_pipelines.quantization.export import source_sha256
from sinet_pipelines.quantization.int8 import channel_scales
from tests.sinet_pipelines.quantization.windows import answer, export, open_session


def metadata(content: bytes) -> dict[str, str]:
    return {prop.key: prop.value for prop in onnx.load_from_string(content).metadata_props}


def signature(content: bytes) -> list[tuple]:
    session = open_session(content)
    return [(tensor.name, tensor.type, tensor.shape) for tensor in session.get_inputs() + session.get_outputs()]


def test_int8_answers_nearly_as_fp32(served_network, quantized_network, sequences):
    fp32, int8 = (answer(open_session(graph), sequences) for graph in (served_network, quantized_network))
    assert sorted(int8) == ["lower_cycles", "rul_cycles", "upper_cycles"]
    differences = np.abs(fp32["rul_cycles"] - int8["rul_cycles"])
    assert 0 < differences.max() < 10
    assert np.sqrt(np.mean(differences**2)) < 0.05 * fp32["rul_cycles"].std()


def test_weights_of_all_layers_are_int8(quantized_network):
    graph = onnx.load_from_string(quantized_network).graph
    integers = [numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.data_type == tensor.INT8]
    layers = [values for values in integers if values.ndim > 1]
    assert sorted(values.ndim for values in layers) == [2, 2, 3, 3, 3]
    floats = [numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.data_type == tensor.FLOAT]
    assert max(values.size for values in floats) < 130  # scales, biases and moments


def test_convolutions_run_as_integers_and_dense_layers_without_a_node_more(quantized_network, tmp_path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "as_run.onnx")
    ort.InferenceSession(quantized_network, options, providers=["CPUExecutionProvider"])
    as_run = [node.op_type for node in onnx.load(tmp_path / "as_run.onnx").graph.node]
    assert as_run.count("QLinearConv") == 3
    assert "Conv" not in as_run
    assert as_run.count("FusedGemm") == 2
    assert as_run.count("DequantizeLinear") == 5  # each convolution's answer, and two of what residuals add


def test_integer_kernels_answer_as_the_graph_says(quantized_network, sequences):
    """Unfused, every node is computed in FP32, so nothing can overflow: what any processor should answer."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    unfused = ort.InferenceSession(quantized_network, options, providers=["CPUExecutionProvider"])
    expected = answer(unfused, sequences)["rul_cycles"]
    differences = np.abs(answer(open_session(quantized_network), sequences)["rul_cycles"] - expected)
    assert np.quantile(differences, 0.99) < 1e-4
    assert differences.max() < 0.1  # a sum at the edge of two steps may fall on either


def test_the_signature_stays(served_network, quantized_network):
    assert signature(quantized_network) == signature(served_network)


def test_it_says_what_it_is_and_of_which_source(served_network, quantized_network, network):
    entries = metadata(quantized_network)
    assert entries["precision"] == "int8"
    assert entries["source_sha256"] == source_sha256(network)
    assert int(entries.pop("calibration_rows")) > 10
    entries.pop("precision")
    assert entries == metadata(served_network)


def test_equal_rows_in_any_order_give_equal_bytes(served_network, quantized_network, sequences, regimes):
    shuffled = sequences.take(np.random.default_rng(1).permutation(len(sequences)))
    assert quantize(served_network, shuffled, regimes=regimes) == quantized_network


def test_another_process_gives_the_same_bytes(served_network, quantized_network, sequences, regimes, tmp_path):
    (tmp_path / "fp32.onnx").write_bytes(served_network)
    (tmp_path / "regimes.json").write_text(regimes.to_json())
    arrays_of = {field.name: np.asarray(getattr(sequences, field.name)) for field in dataclasses.fields(sequences)}
    np.savez(tmp_path / "sequences.npz", **arrays_of)
    program = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from sinet_pipelines.applications.turbofan.features.regimes import OperatingRegimes\n"
        "from sinet_pipelines.applications.turbofan.features.sequences import Sequences\n"
        "from sinet_pipelines.applications.turbofan.graph.served import quantize_by_regime as quantize\n"
        "folder = Path(sys.argv[1])\n"
        "given = dict(np.load(folder / 'sequences.npz'))\n"
        "sequences = Sequences(tuple(given.pop('unit').tolist()), **given)\n"
        "regimes = OperatingRegimes.from_json((folder / 'regimes.json').read_text())\n"
        "graph = quantize((folder / 'fp32.onnx').read_bytes(), sequences, regimes=regimes)\n"
        "print(hashlib.sha256(graph).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert found == hashlib.sha256(quantized_network).hexdigest()


def test_other_rows_give_another_graph(served_network, quantized_network, sequences, regimes):
    fewer = sequences.take(np.arange(0, len(sequences), 2))
    assert quantize(served_network, fewer, regimes=regimes) != quantized_network


def test_nothing_is_left_on_disk_and_nothing_is_logged(
    served_network, sequences, regimes, tmp_path, monkeypatch, caplog
):
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir(), temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    quantize(served_network, sequences, regimes=regimes)
    assert [path for folder in (work, temporary) for path in Path(folder).rglob("*")] == []
    assert caplog.messages == []


def test_a_calibration_set_with_a_regime_missing_is_refused(served_network, sequences, regimes):
    without = sequences.take(last_regimes(sequences, regimes) != 0)
    with pytest.raises(ContractError, match="no calibration row in operating regime 0"):
        quantize(served_network, without, regimes=regimes)


def test_trees_lines_and_blends_stay_fp32(forest, network, served, sequences, regimes):
    blend = BlendModel(("gradient_boosting", "temporal_convolution"), (forest, network), (0.5, 0.5))
    for graph in (served, export(blend, regimes=regimes, family="average")):
        with pytest.raises(QuantizationError, match="no INT8 form .allowed: a temporal convolution alone.; serve it"):
            quantize(graph, sequences, regimes=regimes)


def test_int8_is_not_quantized_again(quantized_network, sequences, regimes):
    with pytest.raises(QuantizationError, match="INT8 already"):
        quantize(quantized_network, sequences, regimes=regimes)


def test_regimes_of_another_graph_are_refused(served_network, sequences, regimes):
    moved = dataclasses.replace(regimes, row_counts=tuple(count + 1 for count in regimes.row_counts))
    with pytest.raises(QuantizationError, match="allowed: its own"):
        quantize(served_network, sequences, regimes=moved)


def test_a_network_that_answers_no_number_is_refused(network, sequences, regimes):
    weights = {**network.weights, "conv1.bias": np.full_like(network.weights["conv1.bias"], np.nan)}
    graph = export(dataclasses.replace(network, weights=weights), regimes=regimes, family="temporal_convolution")
    with pytest.raises(QuantizationError, match="calibration rows"):
        quantize(graph, sequences, regimes=regimes)


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-9, 9, width=32)))
def test_a_weight_is_off_by_at_most_half_a_step(weights_OI):
    scales_O1 = channel_scales(weights_OI)[:, None]
    integers = np.round(weights_OI / scales_O1)
    assert np.abs(integers).max() <= 127
    assert np.all(np.abs(integers * scales_O1 - weights_OI) <= 0.5001 * scales_O1)
