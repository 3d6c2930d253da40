"""MLflow's own loaders take a version of ours for an ONNX model, with the graph's signature and nothing pickled."""

import shutil

import numpy as np
import pytest

from sinet_pipelines.registry.loader_files import MLMODEL, loader_files
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register
from tests.sinet_pipelines.deployment.served import expected_rul, rul_graph, sane_inputs

# MLflow's loaders warn at their import of type hints of their own
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")
URI = "models:/turbofan_remaining_useful_life@champion"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("made") / "my plänt #2"
    home.mkdir()
    run = log_run(tracking_of(home), RunRecord("fleet", "trees", {}, {}, {}, ""), key="one")
    content = rul_graph(bias=100.0).SerializeToString()
    register(
        tracking_of(home),
        "turbofan_remaining_useful_life",
        content,
        family="trees",
        run_id=run.run_id,
        alias="champion",
    )
    return home


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    """The home at another place, and MLflow's own settings that lead to it."""
    moved = shutil.copytree(made, tmp_path / "moved #3")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_of(moved).uri)
    assert tracking_of(moved).client is not None
    import mlflow

    mlflow.set_tracking_uri(None)
    return moved


def test_mlflows_onnx_loader_loads_the_champion(home):
    import mlflow
    import onnx

    assert home.exists()
    model = mlflow.onnx.load_model(URI)
    onnx.checker.check_model(model)
    assert [value.name for value in model.graph.input] == list(sane_inputs())


def test_mlflows_pyfunc_loader_predicts_as_the_graph_does(home):
    import mlflow

    assert home.exists()
    model = mlflow.pyfunc.load_model(URI)
    predicted = model.predict(sane_inputs())
    np.testing.assert_allclose(predicted["rul_cycles"], expected_rul(sane_inputs(), bias=100.0), rtol=1e-6)
    assert model.metadata.signature.inputs.input_names() == list(sane_inputs())


def test_a_version_of_an_earlier_release_gets_its_files_with_the_next_registration(home):
    for path in home.rglob(MLMODEL):
        path.unlink()
    run = tracking_of(home).client.search_runs(["1"])[0].info.run_id
    register(tracking_of(home), "turbofan_remaining_useful_life", b"another", family="trees", run_id=run)
    (restored,) = home.rglob(MLMODEL)
    assert (restored.parent / "model.onnx").exists()


def test_nothing_is_pickled_and_equal_graphs_have_equal_files():
    content = rul_graph(bias=1.0).SerializeToString()
    files = loader_files(content, file="model.onnx")
    assert sorted(files) == ["MLmodel", "requirements.txt"]
    assert files == loader_files(content, file="model.onnx")
    assert b"pickle" not in files[MLMODEL]


def test_bytes_that_are_no_graph_have_no_files():
    assert loader_files(b"graph", file="model.onnx") == {}
    assert loader_files(b"", file="model.onnx") == {}
