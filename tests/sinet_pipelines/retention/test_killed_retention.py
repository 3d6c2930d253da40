"""An execution that ends at any removal leaves nothing half-removed, and the next one removes the rest."""

from pathlib import Path

import pytest

from sinet_pipelines.retention.policy import Kind
from sinet_pipelines.storage.blobs import BlobStore
from sinet_pipelines.storage.folder import FolderObjects
from sinet_pipelines.storage.training_sets import read_training_set, training_sets
from tests.sinet_pipelines.retention.conftest import SAMPLES, names


def kill_at(monkeypatch, number):
    """Ends the process before its removal of this number, or before the write of a mark; returns what undoes that."""
    calls = 0

    def killing(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == number:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(FolderObjects, "delete", killing(FolderObjects.delete))
    monkeypatch.setattr(BlobStore, "remove", killing(BlobStore.remove))
    monkeypatch.setattr(BlobStore, "point", killing(BlobStore.point))


@pytest.mark.parametrize("number", range(1, 7))
def test_after_a_kill_every_set_is_whole_or_marked_and_the_next_execution_removes_the_rest(plain, monkeypatch, number):
    sets = [plain.train(float(value)) for value in range(3)]
    plain.blobs.put(b"old")
    plain.retain(0)
    with monkeypatch.context() as patched:
        kill_at(patched, number)  # of two marks, two files and one blob
        try:
            plain.retain(31)
            was_killed = False
        except KeyboardInterrupt:
            was_killed = True
    assert was_killed == (number <= 5)
    for one in training_sets(plain.blobs):
        assert one.removed_at or read_training_set(plain.tables, one).height == 2
    plain.retain(31, 62, 93)
    assert {path.name for path in Path(plain.tables.uri(SAMPLES)).glob("*.parquet")} == set(sets[-1].files)
    assert names([one.thing for one in plain.plan(days=94).kept], Kind.TRAINING_SETS) == [f"EAST/{sets[-1].name}"]
    assert read_training_set(plain.tables, sets[-1])["value"].sum() == 5.0
