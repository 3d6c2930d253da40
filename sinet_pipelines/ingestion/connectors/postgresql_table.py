"""The address of a PostgreSQL table, and the SQL of its columns: names are quoted, values are text of the server."""

from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qs, unquote, urlsplit

from psycopg2 import sql

from sinet_pipelines.errors import UsageError

FORM = "postgresql://HOST[:PORT]/DATABASE/SCHEMA.TABLE?watermark=COLUMN[&key=COLUMN,...][&overlap=NUMBER]"
INSTANTS = ("timestamp with time zone", "timestamp without time zone", "date")
NUMBERS = ("smallint", "integer", "bigint", "numeric")


@dataclass(frozen=True)
class Table:
    """The address of a table.

    Attributes:
        host: name or address of the server.
        port: its port.
        database: name of the database.
        schema: name of the schema.
        table: name of the table or view.
        watermark: column that grows with each new row.
        key: columns that identify a row; empty for all columns of the contract.
        overlap: seconds or numbers before the last watermark that are read again; None for the default.
    """

    host: str
    port: int
    database: str
    schema: str
    table: str
    watermark: str
    key: tuple[str, ...] = ()
    overlap: Decimal | None = None

    @property
    def name(self) -> str:
        """The address without options."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{host}:{self.port}/{self.database}/{self.schema}.{self.table}"


def parse_table(url: str) -> Table:
    """The address in a URL.

    Raises:
        UsageError: it is no such URL.

    >>> parse_table("postgresql://db/plant/public.rows%20%231?watermark=id").table
    'rows #1'
    """
    shown = url.partition("?")[0]  # a password may stand in the rest
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError as error:
        raise UsageError(f"{shown!r} is no URL of a table ({error}); give one like {FORM}") from error
    database, _, rest = parts.path.removeprefix("/").partition("/")
    schema, _, table = rest.partition(".")
    if not (parts.hostname and database and schema and table) or "/" in table or parts.fragment:
        raise UsageError(f"{shown!r} names no host, database, schema and table; give one like {FORM}")
    if unknown := sorted(set(query) - {"watermark", "key", "overlap"}):
        raise UsageError(
            f"{shown!r} has {', '.join(unknown)} after its `?` (allowed: watermark, key, overlap); credentials are in "
            "the file of --options"
        )
    if "watermark" not in query:
        raise UsageError(f"{shown!r} names no watermark, a column that grows with each row; give one like {FORM}")
    given = query.get("overlap", [""])[0]
    try:
        overlap = Decimal(given) if given else None
    except ArithmeticError:
        overlap = Decimal(-1)
    if overlap is not None and not (overlap.is_finite() and overlap >= 0):
        raise UsageError(
            f"the overlap is {given!r} (allowed: seconds, or numbers of the watermark, from 0); correct it"
        )
    key = tuple(name for name in query.get("key", [""])[0].split(",") if name)
    database, schema, table = (unquote(one) for one in (database, schema, table))
    return Table(parts.hostname, port, database, schema, table, query["watermark"][0], key, overlap)


def text_of(name: str, kind: str) -> sql.Composable:
    """A column as text that the contract can cast: instants in ISO 8601 and UTC."""
    column = sql.Identifier(name)
    if kind not in INSTANTS:
        return sql.SQL("{}::text").format(column)
    instant = sql.SQL("{} AT TIME ZONE 'UTC'").format(column) if kind == INSTANTS[0] else column
    return sql.SQL("CASE WHEN isfinite({0}) THEN to_char({1}, {2}) ELSE {0}::text END").format(
        column, instant, sql.Literal('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    )


def is_finite(name: str, kind: str) -> sql.Composable:
    """Whether a column has a value that later ones can be greater than."""
    if kind in INSTANTS:
        return sql.SQL("isfinite({})").format(sql.Identifier(name))
    if kind == "numeric":
        return sql.SQL("{}::text NOT IN ('NaN', 'Infinity', '-Infinity')").format(sql.Identifier(name))
    return sql.SQL("{} IS NOT NULL").format(sql.Identifier(name))


def position_of(name: str, *, is_instant: bool) -> sql.Composable:
    """The watermark as a number: microseconds since 1970 for an instant."""
    if is_instant:
        return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint::text").format(sql.Identifier(name))
    return sql.SQL("{}::text").format(sql.Identifier(name))


def instant_of(micros: int) -> sql.Composable:
    """An instant; compared with a column without a zone, it is in UTC, the zone of the session."""
    return sql.SQL("(timestamptz 'epoch' + {} * interval '1 microsecond')").format(sql.Literal(micros))
