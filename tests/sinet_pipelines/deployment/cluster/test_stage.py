"""The init container: from the region's storage into an empty folder, proven by SHA-256, or an end with a reason."""

import subprocess
import sys

import numpy as np
import pytest

from sinet_pipelines.deployment.catalogue import Catalogue
from sinet_pipelines.deployment.cluster.sample import keep_sample, read_sample
from sinet_pipelines.deployment.stage import StageOptions, main, stage
from sinet_pipelines.errors import StorageError
from sinet_pipelines.registry.runs import RunRecord, log_run
from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.registry.versions import register
from sinet_pipelines.storage.blobs import BlobStore
from tests.sinet_pipelines.deployment.served import expected_rul, rul_graph, sane_inputs


@pytest.fixture
def blobs(tmp_path):
    return BlobStore(tmp_path / "home" / "WEST" / "blobs")


@pytest.fixture
def options(tmp_path, blobs):
    """What an init container is told of version 3, whose graph and sample are blobs of WEST."""
    sha256 = blobs.put(rul_graph(70.0).SerializeToString())
    sample = keep_sample(blobs, sane_inputs(), sha256=sha256)
    (tmp_path / "served").mkdir()
    return StageOptions(str(tmp_path / "home"), "WEST", "rul", "3", sha256, sample, str(tmp_path / "served"))


def test_what_is_staged_is_served_as_it_was_registered(tmp_path, options):
    stage(options)
    catalogue = Catalogue(tmp_path / "served")
    catalogue.start("rul", version="3", sha256=options.sha256)
    inputs = sane_inputs(2, seed=1)
    (answer,) = catalogue.find("rul").run(inputs, outputs=["rul_cycles"])
    np.testing.assert_allclose(answer, expected_rul(inputs, bias=70.0), rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["rul"]


def test_a_container_that_is_started_again_finds_its_work_done(options):
    first = (stage(options) / "model.onnx").stat().st_mtime_ns
    assert (stage(options) / "model.onnx").stat().st_mtime_ns == first


def test_a_changed_blob_is_not_served(blobs, options, capsys):
    path = blobs.path(options.sha256)
    path.chmod(0o600)
    path.write_bytes(rul_graph(71.0).SerializeToString())
    assert main(options.arguments()) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("StorageError: rul version 3 is missing: blob")
    assert "it was changed" in last


@pytest.mark.slow  # MLflow's own tables and files
def test_a_lost_blob_is_taken_from_mlflow_whose_files_may_be_read_only(tmp_path, blobs, options):
    content = blobs.get(options.sha256)
    tracking = tracking_of(tmp_path / "home")
    run = log_run(tracking, RunRecord("fleet", "trees", {}, {}, {}, ""), key="one").run_id
    version = register(tracking, "rul", content, family="trees", run_id=run)
    blobs.path(options.sha256).unlink()
    found = StageOptions(**{**vars(options), "version": str(version.version)})
    assert (stage(found) / "model.onnx").read_bytes() == content


def test_a_home_that_is_not_mounted_and_a_sample_that_is_lost_are_named(tmp_path, blobs, options):
    with pytest.raises(StorageError, match="no home .* in this pod; mount the storage of WEST"):
        stage(StageOptions(**{**vars(options), "home": str(tmp_path / "elsewhere")}))
    blobs.path(options.sample).unlink()
    with pytest.raises(StorageError, match=f"no blob {options.sample}"):
        stage(options)


def test_the_sample_of_a_graph_stays_and_a_lost_one_is_made_again(blobs, options):
    other = sane_inputs(seed=5)
    assert keep_sample(blobs, other, sha256=options.sha256) == options.sample
    blobs.path(options.sample).unlink()
    again = keep_sample(blobs, other, sha256=options.sha256)
    assert again != options.sample
    np.testing.assert_array_equal(read_sample(blobs.get(again))["window"], other["window"])


def test_a_blob_that_is_no_sample_is_named():
    with pytest.raises(StorageError, match="is not an endpoint's sample"):
        read_sample(b"[]")


def test_the_command_of_the_container_imports_neither_frames_nor_trackers(options):
    code = (
        "import sys; from sinet_pipelines.deployment.stage import main; main(sys.argv[1:]); "
        "print(sorted({'polars', 'mlflow', 'pandas', 'dagster', 'kubernetes'} & set(sys.modules)))"
    )
    command = [sys.executable, "-P", "-W", "ignore", "-c", code, *options.arguments()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
