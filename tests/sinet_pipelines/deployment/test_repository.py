"""Reading the model repository: what is there is found, what is not there is answered with what is."""

import pytest

from sinet_pipelines.deployment.repository import aliases, find_version, models, read_manifest, read_model, versions
from sinet_pipelines.deployment.triton_config import read_config, read_sample
from sinet_pipelines.errors import ModelNotFoundError, ServingError
from tests.sinet_pipelines.deployment.served import publish_rul


def test_versions_are_in_the_order_of_their_numbers(repository):
    publish_rul(repository, "10")
    assert versions(repository, "rul") == ("1", "2", "10")


def test_without_a_version_the_champion_is_found(repository):
    assert find_version(repository, "rul").version == "1"
    assert find_version(repository, "rul", version="2").version == "2"


def test_the_error_for_an_unknown_model_has_the_published_ones(repository):
    with pytest.raises(ModelNotFoundError, match=r"no model 'nope' to serve \(published: rul\)"):
        find_version(repository, "nope")


def test_the_error_for_an_unknown_alias_has_the_existing_ones(repository):
    with pytest.raises(ModelNotFoundError, match="aliases: champion is version 1; versions: 1, 2"):
        find_version(repository, "rul", alias="canary")


def test_the_error_for_an_empty_repository_has_the_command_that_fills_it(tmp_path):
    assert models(tmp_path / "none") == ()
    with pytest.raises(ModelNotFoundError, match="sinet run"):
        versions(tmp_path / "none", "rul")


def test_hidden_and_foreign_folders_are_no_models(repository):
    (repository / ".trash" / "1").mkdir(parents=True)
    (repository / "notes").mkdir()
    assert models(repository) == ("rul",)


def test_one_changed_byte_is_refused(repository):
    path = repository / "rul/1/model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ServingError, match="it was changed after it was published"):
        read_model(repository, "rul", "1")


def test_a_graph_that_is_gone_is_named(repository):
    (repository / "rul/1/model.onnx").unlink()
    with pytest.raises(ServingError, match="'rul' version 1 cannot be read"):
        read_model(repository, "rul", "1")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": 1}', "\xff"])
def test_a_broken_manifest_is_named(repository, text):
    (repository / "rul/1/manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ServingError, match="manifest of 'rul' version 1"):
        read_manifest(repository, "rul", "1")


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_broken_aliases_are_named(repository, text):
    (repository / "rul/aliases.json").write_text(text)
    with pytest.raises(ServingError, match="aliases of 'rul'"):
        aliases(repository, "rul")


def test_a_broken_configuration_is_named(repository):
    (repository / "rul/config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(ServingError, match=r"config.pbtxt of 'rul'"):
        read_config(repository, "rul")


def test_a_sample_of_another_shape_is_named(repository):
    (repository / "rul/warmup/cycle").write_bytes(b"\0\0\0")
    with pytest.raises(ServingError, match="sample 'cycle' of 'rul'"):
        read_sample(repository, read_config(repository, "rul"))
