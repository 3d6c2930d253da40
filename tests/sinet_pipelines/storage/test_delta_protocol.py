"""Tables whose protocol or properties another program changed: named at a look, refused by readers, begun anew."""

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable

from sinet_pipelines.errors import StorageError
from sinet_pipelines.storage.health import look_at_table
from sinet_pipelines.storage.tables import TableStore
from tests.sinet_pipelines.storage.test_health import DAYS, READINGS, rows

FEATURES = {"minReaderVersion": 3, "minWriterVersion": 7}
WRITER_FEATURES = {"minReaderVersion": 1, "minWriterVersion": 7}


@pytest.fixture
def store(tmp_path):
    """A table with two rows of each of three days."""
    store = TableStore(str(tmp_path / "tables"))
    store.replace_days(READINGS, rows(*DAYS), days=DAYS)
    return store


def change(store, protocol, properties):
    """Commits another protocol and other properties, as Spark's ALTER TABLE does."""
    log = Path(store.uri(READINGS)) / "_delta_log"
    first = [json.loads(line) for line in (log / f"{0:020d}.json").read_text().splitlines()]
    (metadata,) = [action["metaData"] for action in first if "metaData" in action]
    actions = [{"protocol": protocol}, {"metaData": {**metadata, "configuration": properties}}]
    (log / f"{1:020d}.json").write_text("\n".join(map(json.dumps, actions)))


@pytest.mark.parametrize(
    ("protocol", "properties", "named"),
    [
        (
            {**FEATURES, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]},
            {"delta.enableDeletionVectors": "true"},
            "the feature deletionVectors",
        ),
        ({**FEATURES, "readerFeatures": ["later"], "writerFeatures": ["later"]}, {}, "the feature later"),
        (
            {**WRITER_FEATURES, "writerFeatures": ["rowTracking", "domainMetadata"]},
            {"delta.enableRowTracking": "true"},
            "the features domainMetadata, rowTracking",
        ),
        ({"minReaderVersion": 2, "minWriterVersion": 5}, {"delta.columnMapping.mode": "name"}, "reader version 2"),
        ({"minReaderVersion": 1, "minWriterVersion": 6}, {}, "writer version 6"),
        ({"minReaderVersion": 1, "minWriterVersion": 2}, {"delta.appendOnly": "true"}, "delta.appendOnly=true"),
        (
            {"minReaderVersion": 1, "minWriterVersion": 3},
            {"delta.constraints.low": "value < 1"},
            "delta.constraints.low",
        ),
    ],
)
def test_a_table_that_asks_for_more_than_is_read_and_written_here_is_named_and_begun_anew(
    store, protocol, properties, named
):
    change(store, protocol, properties)
    (fault,) = look_at_table(Path(store.uri(READINGS))).faults
    assert named in fault.message
    assert fault.message.endswith("`sinet run` makes it again")
    with pytest.raises(StorageError, match="another program added"):
        store.read(READINGS)
    with pytest.raises(StorageError, match="another program added"):
        next(store.read_in_batches(READINGS, day=DAYS[0]))
    store.replace_days(READINGS, rows(DAYS[1], value=2.0), days=[DAYS[1]])
    assert store.read(READINGS)["value"].to_list() == [2.0, 2.0]


def test_what_stands_in_a_checkpoint_is_seen_too(store):
    change(store, {**WRITER_FEATURES, "writerFeatures": ["appendOnly"]}, {"delta.appendOnly": "true"})
    DeltaTable(store.uri(READINGS)).create_checkpoint()
    (Path(store.uri(READINGS)) / "_delta_log" / f"{0:020d}.json").unlink()
    (fault,) = look_at_table(Path(store.uri(READINGS))).faults
    assert "the property delta.appendOnly=true" in fault.message


@pytest.mark.parametrize(
    ("protocol", "properties"),
    [
        ({"minReaderVersion": 1, "minWriterVersion": 4}, {"delta.enableChangeDataFeed": "true"}),
        ({**WRITER_FEATURES, "writerFeatures": ["appendOnly", "invariants"]}, {"delta.appendOnly": "false"}),
        ({"minReaderVersion": 1, "minWriterVersion": 2}, {"delta.logRetentionDuration": "interval 1 days"}),
    ],
)
def test_what_changes_nothing_for_readers_and_writers_is_no_fault(store, protocol, properties):
    change(store, protocol, properties)
    assert look_at_table(Path(store.uri(READINGS))).is_readable
    store.replace_days(READINGS, rows(DAYS[1], value=2.0), days=[DAYS[1]])
    assert store.read(READINGS)["value"].sort().to_list() == [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]
