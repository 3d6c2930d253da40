"""The loaded models: what is asked for answers, and whatever fails to load leaves the running versions as they are."""

import numpy as np
import pytest

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.model import load_model, open_graph
from sinet_pipelines.errors import ModelNotFoundError, ServingError, UsageError
from tests.sinet_pipelines.deployment.served import expected_rul, publish_rul, sane_inputs


@pytest.fixture
def catalogue(repository):
    catalogue = Catalogue(repository)
    catalogue.start("rul", version="1")
    return catalogue


def answer(catalogue, version=None):
    inputs = sane_inputs()
    return catalogue.find("rul", version).run(inputs, outputs=["rul_cycles"])[0]


def test_a_model_predicts_as_the_same_rule_in_numpy(repository):
    model = load_model(repository, "rul", version="2")
    inputs = sane_inputs(40, seed=3)
    (found,) = model.run(inputs, outputs=["rul_cycles"])
    np.testing.assert_allclose(found, expected_rul(inputs, bias=200.0), rtol=1e-6)


def test_the_version_it_was_started_for_stays_the_default_when_others_are_loaded(catalogue):
    catalogue.load("rul")
    assert catalogue.versions("rul") == ("1", "2")
    assert catalogue.find("rul").version == "1"
    assert catalogue.find("rul", "2").version == "2"


def test_without_one_it_was_started_for_the_highest_version_is_the_default(repository):
    catalogue = Catalogue(repository)
    catalogue.load("rul")
    assert catalogue.find("rul").version == "2"


def test_a_model_that_predicts_nan_leaves_the_running_one_untouched(catalogue, repository):
    publish_rul(repository, "3", bias=3.0, answers_nan=True)
    before = catalogue.find("rul")
    with pytest.raises(ServingError, match="version 3 predicts nan in 'rul_cycles' for a valid row"):
        catalogue.load("rul")
    assert catalogue.find("rul") is before
    assert catalogue.is_ready


def test_a_changed_graph_leaves_the_running_one_untouched(catalogue, repository):
    (repository / "rul/2/model.onnx").write_bytes(b"x")
    with pytest.raises(ServingError, match="changed after it was published"):
        catalogue.load("rul")
    assert catalogue.versions("rul") == ("1",)


def test_another_graph_than_the_requested_one_is_not_started(repository):
    with pytest.raises(ServingError, match="requested: ffff"):
        Catalogue(repository).start("rul", version="1", sha256="f" * 64)


def test_an_unloaded_model_is_not_there_and_the_server_is_not_ready(catalogue):
    catalogue.unload("rul")
    assert not catalogue.is_ready
    with pytest.raises(ModelNotFoundError, match=r"'rul' is not loaded \(loaded: none\)"):
        catalogue.find("rul")
    with pytest.raises(ModelNotFoundError):
        catalogue.unload("rul")


def test_the_index_lists_what_is_published_and_what_of_it_is_ready(catalogue):
    states = [(entry.name, entry.version, entry.state) for entry in catalogue.index()]
    assert states == [("rul", "1", "READY"), ("rul", "2", "UNAVAILABLE")]
    assert [entry.version for entry in catalogue.index(only_ready=True)] == ["1"]


def test_inputs_of_different_batch_sizes_are_refused(catalogue):
    inputs = sane_inputs(2) | {"cycle": np.ones((3, 1), np.float32)}
    with pytest.raises(UsageError, match="different batch sizes"):
        catalogue.find("rul").run(inputs, outputs=["rul_cycles"])


def test_more_rows_than_the_configuration_allows_are_refused(catalogue):
    with pytest.raises(UsageError, match=r"1025 rows in one request \(allowed: 1024\)"):
        catalogue.find("rul").run(sane_inputs(1025), outputs=["rul_cycles"])


def test_a_missing_input_is_named(catalogue):
    inputs = sane_inputs()
    del inputs["cycle"]
    with pytest.raises(UsageError, match="no input cycle"):
        catalogue.find("rul").run(inputs, outputs=["rul_cycles"])


def test_inputs_that_the_graph_cannot_compute_are_an_error_of_the_request(repository, tmp_path):
    from onnx import TensorProto as T
    from onnx import helper as h

    from sinet_pipelines.deployment.publish import publish_model
    from tests.sinet_pipelines.deployment.served import save

    graph = h.make_graph(
        [h.make_node("Gather", ["table", "row"], ["picked"])],
        "pick",
        [h.make_tensor_value_info("row", T.INT64, ["batch"])],
        [h.make_tensor_value_info("picked", T.FLOAT, ["batch"])],
        [h.make_tensor("table", T.FLOAT, [2], [1.0, 2.0])],
    )
    path = save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=10), tmp_path / "pick.onnx")
    publish_model(repository, "pick", version="1", onnx=path, sample={"row": np.array([1])})
    model = load_model(repository, "pick", version="1")
    assert model.run({"row": np.array([1, 0])}, outputs=["picked"])[0].tolist() == [2.0, 1.0]
    with pytest.raises(UsageError, match="'pick' cannot compute these inputs"):
        model.run({"row": np.array([7])}, outputs=["picked"])


def test_a_session_computes_on_one_thread(repository):
    graph = open_graph((repository / "rul/1/model.onnx").read_bytes(), "rul")
    assert graph.session.get_session_options().intra_op_num_threads == 1
