"""What registered versions need, however they were registered."""

from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.retention import execution
from sinet_pipelines.retention.models import models_of
from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.locks import held
from tests.sinet_pipelines.retention.conftest import names


def test_what_a_version_needs_that_was_registered_during_the_removal_stays(store, monkeypatch):
    found = store.train(1.0)
    version = store.register(found)
    store.train(2.0)
    client = tracking_of(store.home).client
    client.delete_model_version("mill_rul", "1")
    other = store.blobs.put(b"other")
    store.retain(0, 1)
    remove = BlobStore.remove

    def registering(*args, **kwargs):  # on MLflow's page, which takes no lock
        client.create_model_version("mill_rul", source=version.source, run_id=version.run_id)
        return remove(*args, **kwargs)

    monkeypatch.setattr(BlobStore, "remove", registering)
    executed = store.retain(40)
    assert f"EAST/{other}" in names(executed.removed, Kind.BLOBS)
    assert names(executed.removed, Kind.TRAINING_SETS) == []
    assert any("model mill_rul@2 since the plan" in note for note in executed.notes)


def test_no_removal_waits_for_ever_for_a_step_that_logs(plain, monkeypatch):
    monkeypatch.setattr(execution, "MLFLOW_S", 0.01)
    plain.blobs.put(b"graph")
    plain.retain(0)
    with held(plain.home / execution.MLFLOW_LOCK):
        found = plain.retain(31)
    assert found.removed == ()
    assert "and what follows: not removed" in found.notes[0]


def test_a_version_that_a_program_registered_without_a_run_needs_the_run_of_its_file(store):
    found = store.train(1.0)
    version = store.register(found)
    store.train(2.0)
    client = tracking_of(store.home).client
    client.create_model_version("mill_rul", source=client.get_model_version("mill_rul", "1").source)
    client.delete_model_version("mill_rul", "1")
    removed = store.retain(0, 100, 200).removed
    assert names(removed, Kind.MLFLOW_FILES) == names(removed, Kind.TRAINING_SETS) == []
    (need,) = models_of(store.home).needs
    assert (need.by, need.runs, need.training_sets) == ("model mill_rul@2", (version.run_id,), (found.content,))
