"""Decides how a write changes a Delta table's schema: not at all, by nullable columns, or by beginning it anew."""

from enum import StrEnum

import pyarrow as pa
from deltalake import DeltaTable, Schema


class Change(StrEnum):
    """What a table's schema needs before rows of a contract can be written."""

    NONE = "none"
    ADDED = "added"  # nullable columns only: the rows of other days read as null there
    OTHER = "other"  # removed, renamed, retyped, required or made optional: the table begins anew


def schema_change(table: DeltaTable, wanted: pa.Schema) -> Change:
    """What has to change for rows of this schema; the order of columns does not count."""
    have, want = _fields(table.schema()), _fields(Schema.from_arrow(wanted))
    if have == want:
        return Change.NONE
    kept = all(want.get(name) == kind for name, kind in have.items())
    added = [want[name] for name in want if name not in have]
    return Change.ADDED if kept and all(nullable for _, nullable in added) else Change.OTHER


def _fields(schema: Schema) -> dict[str, tuple[str, bool]]:
    return {field.name: (str(field.type), field.nullable) for field in schema.fields}
