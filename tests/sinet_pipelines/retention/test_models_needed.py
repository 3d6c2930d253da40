"""What registered versions need, however they were registered."""

from sinet_pipelines.registry.tracking import tracking_of
from sinet_pipelines.retention.models import models_of
from sinet_pipelines.retention.policy import Kind
from tests.sinet_pipelines.retention.conftest import names


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
