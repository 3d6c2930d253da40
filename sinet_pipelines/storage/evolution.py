"""Decides how a write changes a Delta table's schema: no change, new nullable columns, or a new table."""

from enum import StrEnum

import pyarrow as pa
from deltalake import DeltaTable, Schema


class Change(StrEnum):
    """The schema change that a table needs before rows of a contract can be written."""

    NONE = "none"
    ADDED = "added"  # only nullable columns: they are null in rows of other days
    OTHER = "other"  # removed, renamed, retyped, required or made optional: a new table is created


def schema_change(table: DeltaTable, wanted: pa.Schema) -> Change:
    """The change that rows of this schema need; the order of columns is ignored."""
    have, want = _fields(table.schema()), _fields(Schema.from_arrow(wanted))
    if have == want:
        return Change.NONE
    kept = all(want.get(name) == kind for name, kind in have.items())
    added = [want[name] for name in want if name not in have]
    return Change.ADDED if kept and all(nullable for _, nullable in added) else Change.OTHER


def _fields(schema: Schema) -> dict[str, tuple[str, bool]]:
    return {field.name: (str(field.type), field.nullable) for field in schema.fields}
