import dataclasses

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sinet_pipelines.applications.turbofan.task import RUL
from sinet_pipelines.errors import ContractError
from sinet_pipelines.evaluation.gate import Verdict
from sinet_pipelines.quantization.footprint import Footprint, weight_bytes
from sinet_pipelines.quantization.limits import Answers, Entrant, compete
from tests.sinet_pipelines.quantization.windows import answer, judge_quantization, open_session

FP32 = Footprint(n_bytes=100_000, weight_bytes=80_000, p50_us=100.0)
INT8 = Footprint(n_bytes=40_000, weight_bytes=22_000, p50_us=90.0)


def answers(*, int8_off: np.ndarray | float = 0.0) -> Answers:
    """A thousand rows, a tenth of them in WEST; FP32 is ten cycles off everywhere, INT8 by `int8_off` more."""
    true_B = np.full(1000, 60.0)
    region_B = np.where(np.arange(1000) < 100, "WEST", "EAST")
    return Answers(true_B, region_B, fp32_B=true_B + 10.0, int8_B=true_B + 10.0 + int8_off)


def test_what_keeps_every_limit_passes_with_its_numbers():
    verdict = judge_quantization(answers(int8_off=0.05), fp32=FP32, int8=INT8)
    assert verdict.passed
    assert verdict.numbers["rmse_fp32"] == pytest.approx(10.0)
    assert verdict.numbers["error_growth"] == pytest.approx(0.005)
    assert verdict.numbers["growth_WEST"] == pytest.approx(0.005)
    assert verdict.numbers["weight_ratio"] == pytest.approx(0.275)
    assert verdict.numbers["size_ratio"] == pytest.approx(0.4)
    assert verdict.numbers["latency_ratio"] == pytest.approx(0.9)
    assert verdict.numbers["max_abs_difference"] == pytest.approx(0.05)


@pytest.mark.parametrize(("off", "passed"), [(0.099, True), (0.101, False), (-3.0, True)])
def test_an_error_that_grew_by_more_than_a_hundredth_is_refused(off, passed):
    verdict = judge_quantization(answers(int8_off=off), fp32=FP32, int8=INT8)
    assert verdict.passed is passed
    assert passed or "exceeds its limit of error:" in verdict.reason


def test_one_region_that_is_off_is_refused_though_the_average_is_not():
    """A tenth of the rows 4 % off: 0.4 % over all."""
    off = np.where(np.arange(1000) < 100, 0.4, 0.0)
    verdict = judge_quantization(answers(int8_off=off), fp32=FP32, int8=INT8)
    assert not verdict.passed
    assert verdict.numbers["error_growth"] < 0.01
    assert "exceeds its limit of error in WEST:" in verdict.reason


@pytest.mark.parametrize("which", ["fp32_B", "int8_B"])
def test_one_answer_that_is_no_number_is_refused(which):
    broken = answers()
    spoilt = getattr(broken, which).copy()
    spoilt[7] = np.nan
    verdict = judge_quantization(dataclasses.replace(broken, **{which: spoilt}), fp32=FP32, int8=INT8)
    assert not verdict.passed
    assert "that are not finite" in verdict.reason


@pytest.mark.parametrize(("weights", "passed"), [(24_000, True), (24_800, False)])
def test_weights_above_three_tenths_are_refused(weights, passed):
    int8 = dataclasses.replace(INT8, weight_bytes=weights)
    assert judge_quantization(answers(), fp32=FP32, int8=int8).passed is passed


def test_the_rest_of_a_small_graph_is_shown_but_not_judged():
    small = Footprint(n_bytes=70_000, weight_bytes=20_000, p50_us=90.0)
    verdict = judge_quantization(answers(), fp32=FP32, int8=small)
    assert verdict.passed
    assert verdict.numbers["size_ratio"] == pytest.approx(0.7)


@pytest.mark.parametrize(("p50_us", "passed"), [(199.0, True), (201.0, False)])
def test_a_little_slower_is_no_fault_and_much_slower_is(p50_us, passed):
    int8 = dataclasses.replace(INT8, p50_us=p50_us)
    assert judge_quantization(answers(), fp32=FP32, int8=int8).passed is passed


def test_any_error_is_too_much_for_a_source_without_one():
    perfect = dataclasses.replace(answers(), fp32_B=np.full(1000, 60.0))
    assert not judge_quantization(perfect, fp32=FP32, int8=INT8).passed
    assert judge_quantization(dataclasses.replace(perfect, int8_B=perfect.fp32_B), fp32=FP32, int8=INT8).passed


def test_nothing_to_judge_by_is_refused():
    none = Answers(np.empty(0), np.empty(0, dtype=str), np.empty(0), np.empty(0))
    with pytest.raises(ContractError, match="0 rows and 80000 bytes of weights"):
        judge_quantization(none, fp32=FP32, int8=INT8)
    with pytest.raises(ContractError, match="1000 rows and 0 bytes of weights"):
        judge_quantization(answers(), fp32=dataclasses.replace(FP32, weight_bytes=0), int8=INT8)


def spoil(content: bytes, name: str, change) -> bytes:
    """The graph with one of its constants changed."""
    model = onnx.load_from_string(content)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))
    return model.SerializeToString()


def scale_read_by(content: bytes, operator: str, *, largest: bool) -> str:
    """Name of a scale that nodes of this kind read."""
    graph = onnx.load_from_string(content).graph
    sizes = {tensor.name: tensor.dims[0] if tensor.dims else 1 for tensor in graph.initializer}
    names = [node.input[1] for node in graph.node if node.op_type == operator and node.input[1] in sizes]
    names = [name for name in names if (sizes[name] > 1) is largest]
    return names[0]


def judged(int8: bytes, fp32: bytes, sequences, examples) -> Verdict:
    answered = [answer(open_session(graph), sequences)["rul_cycles"].astype(np.float64) for graph in (fp32, int8)]
    region_B = np.where(np.char.endswith(examples.group_B, "3"), "WEST", "EAST")
    sizes = [Footprint(len(graph), weight_bytes(graph), 100.0) for graph in (fp32, int8)]
    return judge_quantization(Answers(examples.target_B, region_B, *answered), fp32=sizes[0], int8=sizes[1])


def test_a_graph_with_a_broken_scale_is_refused(served_network, quantized_network, sequences, examples):
    assert judged(quantized_network, served_network, sequences, examples).passed
    scale = scale_read_by(quantized_network, "QuantizeLinear", largest=False)
    broken = spoil(quantized_network, scale, lambda values: (values * 0.02).astype(np.float32))
    verdict = judged(broken, served_network, sequences, examples)
    assert not verdict.passed
    assert "exceeds its limit of error" in verdict.reason


def test_a_graph_with_weights_that_are_no_number_is_refused(served_network, quantized_network, sequences, examples):
    scale = scale_read_by(quantized_network, "Mul", largest=True)
    broken = spoil(quantized_network, scale, lambda values: np.full_like(values, np.nan))
    verdict = judged(broken, served_network, sequences, examples)
    assert not verdict.passed
    assert f"{len(sequences)} in int8" in verdict.reason


KEEPS, BREAKS = Verdict(True, "keeps its limits"), Verdict(False, "breaks its limit of error")


def entrant(name: str, rmse: float, n_bytes: int, p50_us: float, **more) -> Entrant:
    return Entrant(name, rmse, RUL.metric, Footprint(n_bytes, n_bytes, p50_us), **more)


TREES, NET = entrant("trees", 11.0, 400, 80.0), entrant("net", 10.0, 800, 200.0)


def test_a_faster_int8_form_stands_in_for_the_least_error():
    found = compete([TREES, NET, entrant("net int8", 10.05, 220, 150.0, source="net", verdict=KEEPS)])
    assert found.chosen == "net int8"
    assert found.front == ("net", "net int8", "trees")
    assert found.reasons == {
        "trees": "loses to net: 11.00 cycles of error against 10.00",
        "net": "least out-of-fold error, 10.00 cycles, but net int8 is served for it",
        "net int8": "served for net, the least out-of-fold error: is within its limits and takes 0.28 of its bytes and "
        "0.75 of its time",
    }


def test_a_slower_int8_form_merely_loses():
    found = compete([TREES, NET, entrant("net int8", 10.05, 220, 210.0, source="net", verdict=KEEPS)])
    assert found.chosen == "net"
    assert found.reasons["net int8"] == "loses to net: takes 0.28 of its bytes and 1.05 of its time"


def test_a_broken_int8_form_never_goes_out_however_fast():
    found = compete([TREES, NET, entrant("net int8", 9.0, 100, 1.0, source="net", verdict=BREAKS)])
    assert (found.chosen, found.front) == ("net", ("net", "trees"))
    assert found.reasons["net int8"] == "broken: breaks its limit of error"


def test_an_int8_form_that_nobody_judged_is_as_good_as_broken():
    found = compete([NET, entrant("net int8", 9.0, 100, 1.0, source="net")])
    assert found.chosen == "net"
    assert found.reasons["net int8"] == "broken: its limits were not checked"


def test_an_int8_form_of_a_worse_model_is_no_substitute():
    worse = entrant("net int8", 12.05, 220, 20.0, source="net", verdict=KEEPS)
    found = compete([TREES, dataclasses.replace(NET, score=12.0), worse])
    assert found.chosen == "trees"
    assert found.reasons["net"] == "loses to trees, which is no worse in error, size or time"
    assert "net int8" in found.front


@pytest.mark.parametrize("order", [1, -1])
def test_of_equals_the_first_by_name_goes_out(order):
    equals = [entrant(name, 10.0, 100, 50.0) for name in ("a", "b")][::order]
    found = compete(equals)
    assert found.chosen == "a"
    assert found.front == ("a", "b")


def test_an_error_that_is_no_number_is_chosen_by_nobody():
    found = compete([TREES, dataclasses.replace(NET, score=float("nan"))])
    assert found.chosen == "trees"
    assert found.reasons["net"] == "broken: its error is NaN"


@pytest.mark.parametrize(
    "entrants",
    [
        [],
        [TREES, TREES],
        [dataclasses.replace(TREES, score=float("nan"))],
        [dataclasses.replace(TREES, source="?")],
    ],
)
def test_a_field_that_cannot_compete_is_refused(entrants):
    with pytest.raises(ContractError, match="enter them again"):
        compete(entrants)
