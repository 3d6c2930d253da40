"""Which Delta tables can be read and written here: those whose protocol and properties delta-rs supports.

Any program that opens a table may raise its protocol (by default, Spark enables deletion vectors, row tracking or
clustering) or set a property that forbids replacing days. Then readers return deleted rows, or every write fails, so
such a table counts as damaged and is created again.
"""

from collections.abc import Mapping
from typing import Any

READER_VERSION, WRITER_VERSION = (
    1,
    4,
)  # without a list of features: 2 is column mapping, 5 and 6 are its writer and identity columns
FEATURES_READER, FEATURES_WRITER = 3, 7  # from these versions, the features are listed
READER_FEATURES = frozenset({"timestampNtz"})
WRITER_FEATURES = READER_FEATURES | {
    "appendOnly",  # enabled by a property, like the next three
    "invariants",
    "checkConstraints",
    "changeDataFeed",
    "generatedColumns",
}
APPEND_ONLY, CONSTRAINT = "delta.appendOnly", "delta.constraints."


def foreign_part(protocol: Mapping[str, Any], properties: Mapping[str, str]) -> str:
    """The unsupported feature or property that another program added to a table; empty for none.

    Args:
        protocol: the newest `protocol` action of the table's log.
        properties: the configuration of its newest `metaData` action.

    >>> foreign_part({"minReaderVersion": 1, "minWriterVersion": 2}, {})
    ''
    >>> foreign_part({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"]}, {})
    'the feature deletionVectors'
    >>> foreign_part({"minReaderVersion": 1, "minWriterVersion": 2}, {"delta.appendOnly": "true"})
    'the property delta.appendOnly=true'
    """
    reader, writer = int(protocol.get("minReaderVersion") or 0), int(protocol.get("minWriterVersion") or 0)
    needed = {*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())}
    if features := sorted(needed - WRITER_FEATURES):
        return f"the feature{'s' if len(features) > 1 else ''} {', '.join(features)}"
    if reader not in (*range(READER_VERSION + 1), FEATURES_READER):
        return f"reader version {reader} of the Delta protocol"
    if writer not in (*range(WRITER_VERSION + 1), FEATURES_WRITER):
        return f"writer version {writer} of the Delta protocol"
    forbidding = [f"{APPEND_ONLY}=true"] if str(properties.get(APPEND_ONLY)).lower() == "true" else []
    forbidding += sorted(name for name in properties if name.startswith(CONSTRAINT))
    return f"the property {forbidding[0]}" if forbidding else ""
