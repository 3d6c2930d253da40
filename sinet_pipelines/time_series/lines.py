r"""InfluxDB line protocol: a row of a table becomes `measurement,tag=value field=1.5,other=2i 1770000000000000000`.

In names and tags, a comma, a space, an equals sign and a backslash are escaped by a backslash, in texts a quote and a
backslash. A line break and other control characters would end a line or be lost, so they become `\n` and `\x01`
written out. A field that is null, NaN or infinite is left out: the protocol has no such numbers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from sinet_pipelines.errors import InventoryError
from sinet_pipelines.schemas.contract import RECORDED_AT, Contract
from sinet_pipelines.storage.tables import DAY_COLUMN

# tags of every row, by which a store counts and removes
RESERVED = ("application", "table", "region", "home", DAY_COLUMN)
PREDICTED_BY = ("model", "version")  # of a table without days: the prediction of each version is a series of its own
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


@dataclass(frozen=True)
class Shape:
    """How the rows of a table become lines.

    Attributes:
        measurement: name of the measurement: `turbofan_validated_telemetry`.
        same: tags that all rows have.
        tags: columns of texts that become tags: they identify a series.
        fields: numbers and booleans that become fields.
        texts: columns of texts that become fields, where the store has texts.
        counted: the field that every row has, by which a store counts rows.
        has_days: whether each row has the tag `event_date`.
    """

    measurement: str
    same: Mapping[str, str]
    tags: tuple[str, ...]
    fields: tuple[str, ...]
    texts: tuple[str, ...]
    counted: str
    has_days: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that are read."""
        day = (DAY_COLUMN,) if self.has_days else ()
        return (*day, RECORDED_AT, *self.tags, *self.fields, *self.texts)


@dataclass(frozen=True)
class Lines:
    """Lines of some rows.

    Attributes:
        texts: one line for each row that has a field and an instant, in the order of the rows.
        points: for each line with the counted field, the hash of its series and its instant in milliseconds.
        counted: number of lines with the field by which a store counts.
        left_out: rows without a field or an instant.
    """

    texts: list[str]
    points: pl.Series = field(repr=False)
    counted: int
    left_out: int


def shape_of(application: str, contract: Contract, *, region: str, home: str = "") -> Shape:
    """The shape of a table's lines.

    Tags are the texts that identify a series: those of `series`, or of a key of several columns, and those with few
    allowed values. A text that is different in each row, such as a hash, would be a series of its own. In a table
    without days, model and version are tags too, so that the predictions of two versions are two series.

    Args:
        application: of the table.
        contract: of the table.
        region: of the rows.
        home: id of the home that sends them, so that homes which share a store leave the rows of each other; empty for
            none.

    Raises:
        InventoryError: its rows have no instant, or no number in every row.
    """
    names = {column.name for column in contract.columns}
    if RECORDED_AT not in names:
        raise InventoryError(
            f"{application}/{contract.name} has no column {RECORDED_AT}, so its rows have no instant; name another "
            "table"
        )
    own = [c for c in contract.columns if c.name not in (*RESERVED, RECORDED_AT)]
    texts = [c for c in own if _is_text(c.dtype)]
    grouping = contract.series or (contract.key if len(contract.key) > 1 else ())
    predicted_by = () if DAY_COLUMN in names else PREDICTED_BY
    tags = tuple(c.name for c in texts if c.name in (*grouping, *predicted_by) or c.allowed)
    fields = [c for c in own if _is_number(c.dtype)]
    if not (always := [c.name for c in fields if not c.nullable]):
        raise InventoryError(f"{application}/{contract.name} has no number in every row to count; name another table")
    return Shape(
        measurement=f"{application}_{contract.name}",
        same={"application": application, "table": contract.name, "region": region, **({"home": home} if home else {})},
        tags=tags,
        fields=tuple(c.name for c in fields),
        texts=tuple(c.name for c in texts if c.name not in tags),
        counted=next((name for name in always if name in contract.key), always[0]),
        has_days=DAY_COLUMN in names,
    )


def lines_of(rows: pl.DataFrame, shape: Shape, *, keeps_texts: bool) -> Lines:
    """The lines of some rows.

    Args:
        rows: with the columns of the shape.
        shape: of the table.
        keeps_texts: whether texts become fields.
    """
    head = _name(shape.measurement) + "".join(f",{_name(key)}={_name(value)}" for key, value in shape.same.items())
    tags = [_tag(name, pl.col(name)) for name in shape.tags]
    if shape.has_days:
        tags.append(_tag(DAY_COLUMN, pl.col(DAY_COLUMN).dt.to_string("%Y-%m-%d")))
    fields = [_number(name, rows.schema[name]) for name in shape.fields]
    fields += [_text(name) for name in shape.texts] if keeps_texts else []
    instant = pl.col(RECORDED_AT).dt.epoch("ns")
    made = rows.select(
        series=pl.concat_str([pl.lit(head), *tags], ignore_nulls=True),
        fields=pl.concat_list(fields).list.drop_nulls().list.join(","),
        instant=instant,
        has_counted=_number(shape.counted, rows.schema[shape.counted]).is_not_null(),
    ).filter((pl.col("fields") != "") & pl.col("instant").is_not_null())
    line = pl.concat_str([pl.col("series"), pl.lit(" "), pl.col("fields"), pl.lit(" "), pl.col("instant")])
    points = made.filter("has_counted").select(
        pl.struct("series", pl.col("instant") // 1_000_000).hash().alias("point")
    )["point"]
    counted = int(made["has_counted"].sum())
    return Lines(made.select(line.alias("line"))["line"].to_list(), points, counted, rows.height - made.height)


def _is_text(dtype: object) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(dtype) or types.is_large_string(dtype))


def _is_number(dtype: object) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(dtype) or types.is_floating(dtype) or types.is_boolean(dtype))


def _name(text: str) -> str:
    r"""A name or a tag's value, escaped.

    >>> print(_name("a,b c=d\\\n"))
    a\,b\ c\=d\\\n
    """
    escaped = re.sub(r"([\\, =])", r"\\\1", text)
    return _CONTROL.sub(lambda found: _written_out(found.group()), escaped)


def _written_out(character: str) -> str:
    return _ESCAPED.get(character, f"\\x{ord(character):02x}")


_WRITTEN_OUT = {chr(code): _written_out(chr(code)) for code in (*range(0x20), 0x7F)}


def _escaped(text: pl.Expr, special: str) -> pl.Expr:
    """A text with a backslash before each special character, and control characters written out."""
    found = text.str.replace_all(special, r"\$1")
    return found.str.replace_many(list(_WRITTEN_OUT), list(_WRITTEN_OUT.values()))


def _tag(name: str, text: pl.Expr) -> pl.Expr:
    """`,name=value`; null for an empty value, which the protocol does not have."""
    value = _escaped(text, r"([\\, =])")
    return pl.when(text.str.len_bytes() > 0).then(pl.concat_str([pl.lit(f",{_name(name)}="), value]))


def _text(name: str) -> pl.Expr:
    """`name="value"`, null where there is no value."""
    value = _escaped(pl.col(name), r'([\\"])')
    return pl.concat_str([pl.lit(f'{_name(name)}="'), value, pl.lit('"')])


def _number(name: str, dtype: pl.DataType) -> pl.Expr:
    """`name=value`, null where there is no finite value; whole numbers end in i."""
    column, key = pl.col(name), pl.lit(f"{_name(name)}=")
    if dtype.is_float():
        return pl.when(column.is_finite()).then(pl.concat_str([key, column.cast(pl.String)]))
    if dtype == pl.Boolean:
        return pl.concat_str([key, column.cast(pl.String)])
    return pl.concat_str([key, column.cast(pl.String), pl.lit("i")])
