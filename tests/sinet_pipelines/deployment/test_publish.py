"""Publishing: a version is there whole or not at all, never changes, and lies as Triton wants it."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS
from sinet_pipelines.deployment.publish import clear_damaged, name_version, publish_model
from sinet_pipelines.deployment.repository import aliases, find_version, models, read_model, versions
from sinet_pipelines.deployment.triton_config import read_config, read_sample
from sinet_pipelines.errors import ModelNotFoundError, ServingError, StorageError, UsageError
from sinet_pipelines.storage.commits import CommitRefusedError, commits_checked
from tests.sinet_pipelines.deployment.served import publish_rul, rul_graph, sane_inputs, save


def test_the_layout_is_tritons(repository):
    found = sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file())
    assert found == [
        "rul/1/manifest.json",
        "rul/1/model.onnx",
        "rul/2/manifest.json",
        "rul/2/model.onnx",
        "rul/aliases.json",
        "rul/config.pbtxt",
        "rul/warmup/cycle",
        "rul/warmup/first_cycles",
        "rul/warmup/window",
    ]


def test_tritons_protobufs_read_the_configuration(repository):
    from tritonclient.grpc import model_config_pb2 as pb

    config = read_config(repository, "rul")
    window = config.input[0]
    assert (config.name, config.backend, config.max_batch_size) == ("rul", "onnxruntime", 1024)
    assert (window.name, window.data_type, list(window.dims)) == ("window", pb.TYPE_FP32, [30, len(CHANNELS)])
    assert [output.name for output in config.output] == ["rul_cycles"]
    assert config.model_warmup[0].inputs["window"].input_data_file == "window"


def test_the_sample_comes_back(repository):
    sample = read_sample(repository, read_config(repository, "rul"))
    for name, values in sane_inputs().items():
        np.testing.assert_array_equal(sample[name], values)


def test_publishing_the_same_again_changes_nothing(repository):
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    publish_rul(repository, "1", bias=100.0)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


def test_a_version_never_changes(repository):
    with pytest.raises(StorageError, match="a version never changes"):
        publish_rul(repository, "1", bias=1.0)
    assert read_model(repository, "rul", "1")[1] == find_version(repository, "rul", version="1")


def refuse():
    """As a fenced worker's check: another attempt of its step is newer."""
    raise CommitRefusedError("a newer attempt is at work")


def test_a_process_that_may_not_commit_publishes_names_and_clears_nothing(repository):
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    with commits_checked(refuse):
        for change in (
            lambda: publish_rul(repository, "3", bias=1.0),
            lambda: name_version(repository, "rul", version="1", alias="champion"),
            lambda: clear_damaged(repository, "rul", version="1", sha256="0" * 64),
        ):
            with pytest.raises(CommitRefusedError, match="a newer attempt"):
                change()
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before


def test_many_publishers_of_one_version_leave_one_whole_version(tmp_path):
    repository = tmp_path / "models"
    path = save(rul_graph(), tmp_path / "rul.onnx")
    with ThreadPoolExecutor(8) as threads:
        jobs = [
            threads.submit(publish_model, repository, "rul", version="1", onnx=path, sample=sane_inputs())
            for _ in range(8)
        ]
    assert len({job.result() for job in jobs}) == 1
    assert versions(repository, "rul") == ("1",)
    assert not list(repository.rglob(".*"))


def test_a_version_that_was_cut_off_is_replaced(repository):
    (repository / "rul/3").mkdir()
    (repository / "rul/3/model.onnx").write_bytes(b"half")
    assert versions(repository, "rul") == ("1", "2")
    publish_rul(repository, "3", bias=300.0)
    assert versions(repository, "rul") == ("1", "2", "3")


def test_what_no_server_could_load_is_not_published(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no graph at all")
    with pytest.raises(ServingError, match="cannot be loaded"):
        publish_model(tmp_path / "models", "rul", version="1", onnx=path, sample=sane_inputs())
    assert models(tmp_path / "models") == ()


@pytest.mark.parametrize("model", ["", "..", "a/b", "a b", "-a", "x" * 129])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path, model):
    with pytest.raises(UsageError, match="is not a model name"):
        publish_model(tmp_path, model, version="1", onnx=tmp_path / "m.onnx", sample={})


@pytest.mark.parametrize("version", ["", "0", "-1", "1.0", "latest", "01"])
def test_a_version_that_is_no_number_is_refused(tmp_path, version):
    with pytest.raises(UsageError, match="is not a version"):
        publish_model(tmp_path, "rul", version=version, onnx=tmp_path / "m.onnx", sample={})


def test_a_sample_that_does_not_fit_is_refused(tmp_path):
    path = save(rul_graph(), tmp_path / "rul.onnx")
    with pytest.raises(UsageError, match="pass one valid row for each input"):
        publish_model(tmp_path / "models", "rul", version="1", onnx=path, sample=sane_inputs(2))


def test_a_full_disk_leaves_no_half_version(tmp_path, monkeypatch):
    import errno
    import os

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = save(rul_graph(), tmp_path / "rul.onnx")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="no space is left"):
        publish_model(tmp_path / "models", "rul", version="1", onnx=path, sample=sane_inputs())
    assert models(tmp_path / "models") == ()


def test_an_alias_moves_and_others_stay(repository):
    name_version(repository, "rul", version="2", alias="challenger")
    name_version(repository, "rul", version="2", alias="champion")
    name_version(repository, "rul", version="1", alias="challenger")
    assert aliases(repository, "rul") == {"champion": "2", "challenger": "1"}


def test_an_alias_of_nothing_is_refused(repository):
    with pytest.raises(ModelNotFoundError, match="no version '9'"):
        name_version(repository, "rul", version="9", alias="champion")


def test_the_manifest_names_the_graph(repository):
    import hashlib

    parsed = json.loads((repository / "rul/1/manifest.json").read_text())
    content = (repository / "rul/1/model.onnx").read_bytes()
    assert parsed == {
        "model": "rul",
        "version": "1",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
