"""The connector of a PostgreSQL table: its rows by watermark, as text of the server, in bounded memory.

A transaction that commits late has rows with an older watermark. Each pull therefore reads again what is within the
overlap before the last watermark, and recognises rows by their key or their content. Where the server shows when
running transactions began (role `pg_monitor`), the overlap reaches back to the oldest of them, too.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import psycopg2
import pyarrow as pa
from psycopg2 import sql

from sinet_pipelines.errors import ForbiddenError, SinetError, SourceError, UnreachableError, first_line
from sinet_pipelines.ingestion.casting import cast_table
from sinet_pipelines.ingestion.connectors.postgresql_table import (
    INSTANTS,
    NUMBERS,
    Table,
    instant_of,
    is_finite,
    parse_table,
    position_of,
    text_of,
)
from sinet_pipelines.ingestion.connectors.source import Block, Notes, Part, Settings
from sinet_pipelines.ingestion.connectors.taken import Taken
from sinet_pipelines.ingestion.connectors.watermark import Position, Window

OPTIONS = ("user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey")
CONNECT_S = 10
AWAY_MS = 30_000  # until an unanswered connection counts as broken
FETCHED = 10_000  # rows of one answer of the server
PART_ROWS = 100_000  # of new rows, after which the state is saved
OVERLAP_S, OVERLAP_NUMBERS = 3_600, 10_000
DAY_S = 86_400  # before a date, since a transaction that ends on the next day may have written the former one
_REJECTED = (
    "password",
    "authentication",
    "pg_hba.conf",
    "role",
    "SASL",
    "permission",
    "certificate",
)


def open_source(url: str, settings: Settings) -> "TableSource":
    """The rows of a table.

    Raises:
        UsageError: the URL names no table or watermark, or an option is unknown.
    """
    return TableSource(parse_table(url), settings, settings.only(*OPTIONS))


class TableSource:
    """The new rows of a table, some at a time, in the order of the watermark.

    Args:
        table: the table.
        settings: contract of a row, and the name of the source.
        options: user, password and certificates.
    """

    def __init__(self, table: Table, settings: Settings, options: Mapping[str, Any]) -> None:
        self.name, self.notes = settings.name or table.name, Notes()
        self._table, self._drop = table, settings.drop
        self._options = {name: str(value) for name, value in options.items()}
        self._began = Decimal(0)

    def parts(self, taken: Taken) -> Generator[Part, None, None]:
        """As in `Source`."""
        position = Position.of(taken.position, self._table.name)
        with self._connected() as connection, self._explained():
            kinds = self._kinds(connection)
            self._require(kinds, position)
            window = self._window(connection, kinds[self._table.watermark], position)
            names = [column.name for column in self._drop.columns]
            with connection.cursor(name="sinet_pull") as cursor:
                cursor.itersize = FETCHED
                cursor.execute(self._query(kinds, window))
                fresh: list[tuple[str | None, ...]] = []
                digest = blake2b(digest_size=8)
                while rows := cursor.fetchmany(FETCHED):
                    for row in rows:
                        if (new := self._new(row, len(names), window)) is not None:
                            fresh.append(row[: len(names)])
                            digest.update(new)
                    if len(fresh) >= PART_ROWS:
                        yield self._part(names, fresh, digest.hexdigest(), window)
                        fresh, digest = [], blake2b(digest_size=8)
                if fresh:
                    yield self._part(names, fresh, digest.hexdigest(), window)

    def _new(self, row: tuple[Any, ...], width: int, window: "Window") -> bytes | None:
        """The identity of a row that has not landed, else None."""
        self.notes.parts += 1
        content = _hash(row[:width])
        identity = _hash(row[width:-1]) if self._table.key else content
        at = Decimal(row[-1])
        known = window.seen.get(identity.hex())
        window.seen[identity.hex()] = (at, content.hex()) if known is None else (at, known[1])
        window.last = max(window.last, min(at, window.latest)) if window.last is not None else min(at, window.latest)
        if known is None:
            return identity
        self.notes.repeated += known[1] == content.hex()
        self.notes.changed += known[1] != content.hex()
        return None

    def _part(self, names: list[str], rows: list[tuple[str | None, ...]], digest: str, window: "Window") -> Part:
        columns = {
            name: pa.array(values, pa.string()) for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
        block = Block(cast_table(pa.table(columns), self._drop.columns))
        return Part("rows", digest, [block], position=window.saved(self._table.watermark, self._table.key))

    def _query(self, kinds: Mapping[str, str], window: "Window") -> sql.Composed:
        table = self._table
        texts = [text_of(column.name, kinds[column.name]) for column in self._drop.columns]
        texts += [text_of(name, kinds[name]) for name in table.key]
        mark = sql.Identifier(table.watermark)
        finite = is_finite(table.watermark, kinds[table.watermark])
        since = sql.SQL("true")
        if window.low is not None:
            since = sql.SQL("{} >= {}").format(
                mark, instant_of(int(window.low)) if window.is_instant else sql.Literal(window.low)
            )
        return sql.SQL("SELECT {}, {} FROM {} WHERE {} AND {} ORDER BY {}").format(
            sql.SQL(", ").join(texts),
            position_of(table.watermark, is_instant=window.is_instant),
            sql.Identifier(table.schema, table.table),
            finite,
            since,
            mark,
        )

    def _window(self, connection: Any, kind: str, position: "Position") -> "Window":
        table, is_instant = self._table, kind in INSTANTS
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE ({}) IS NOT TRUE").format(
                    sql.Identifier(table.schema, table.table), is_finite(table.watermark, kind)
                )
            )
            self.notes.without_watermark = cursor.fetchone()[0]
        default = OVERLAP_S if is_instant else OVERLAP_NUMBERS
        overlap = table.overlap if table.overlap is not None else Decimal(default)
        overlap = (overlap + (DAY_S if kind == "date" else 0)) * (1_000_000 if is_instant else 1)
        latest = self._began if is_instant else Decimal("Infinity")
        return Window(position.last, position.read_from, dict(position.seen), overlap, latest, is_instant)

    def _require(self, kinds: Mapping[str, str], position: "Position") -> None:
        """Rejects a table that is not there, or that lacks columns."""
        table, needed = self._table, [column.name for column in self._drop.columns]
        if not kinds:
            raise SourceError(
                f"there is no table {table.schema}.{table.table} in the database {table.database} at {table.host}, or "
                "its user may not see it; correct the URL, or grant SELECT on it"
            )
        if missing := [name for name in (*needed, table.watermark, *table.key) if name not in kinds]:
            raise SourceError(
                f"{table.schema}.{table.table} has no column {', '.join(dict.fromkeys(missing))} (found: "
                f"{', '.join(kinds)[:1000]}); make a view with the columns and name that"
            )
        if kinds[table.watermark] not in (*INSTANTS, *NUMBERS):
            raise SourceError(
                f"the watermark {table.watermark} is of type {kinds[table.watermark]} (allowed: "
                f"{', '.join((*INSTANTS, *NUMBERS))}); name another column"
            )
        if position.watermark and (position.watermark, position.key) != (table.watermark, table.key):
            keys = (", ".join(position.key) or "no column", ", ".join(table.key) or "no column")
            raise SourceError(
                f"{self.name} was read by the watermark {position.watermark} and the key {keys[0]}, not by "
                f"{table.watermark} and {keys[1]}; name the same, or give the source another name with --name to read "
                "all of its rows again"
            )

    def _kinds(self, connection: Any) -> dict[str, str]:
        """The type of each column, empty where there is no such table."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL) "
                "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "JOIN pg_type t ON t.oid = a.atttypid "
                "WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                (self._table.schema, self._table.table),
            )
            return dict(cursor.fetchall())

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """A connection in one read-only transaction, whose rows do not change while it is open."""
        table = self._table
        try:
            connection = psycopg2.connect(
                host=table.host,
                port=table.port,
                dbname=table.database,
                connect_timeout=CONNECT_S,
                tcp_user_timeout=AWAY_MS,
                application_name="sinet pull",
                client_encoding="UTF8",
                **self._options,
            )
        except (psycopg2.Error, UnicodeError) as error:
            raise self._not_connected(error) from None  # its text may quote the options
        try:
            with self._explained():
                self._begin(connection)
            yield connection
        finally:
            connection.close()

    def _begin(self, connection: Any) -> None:
        """Begins the transaction, after the instant at which the oldest running one began, as far as it is shown."""
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT (extract(epoch FROM least(now(), min(xact_start))) * 1000000)::bigint FROM pg_stat_activity "
                "WHERE datname = current_database() AND backend_type = 'client backend'"
            )
            self._began = Decimal(cursor.fetchone()[0])
        connection.autocommit = False
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL TIME ZONE 'UTC'; SET LOCAL DateStyle TO ISO; SET LOCAL extra_float_digits TO 3")

    def _not_connected(self, error: Exception) -> SinetError:
        why = self._hidden(error)
        if "database" in why and "does not exist" in why:
            return SourceError(f"{self.name}: {why}; correct the URL")
        if any(word in why for word in _REJECTED):
            return ForbiddenError(f"{self.name}: {why}; correct user and password in the file of --options")
        return UnreachableError(
            f"{self.name} does not answer: {why}; start its server or correct the URL, and try again"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Makes one sentence of an error of the server."""
        try:
            yield
        except psycopg2.errors.InsufficientPrivilege as error:
            raise ForbiddenError(
                f"{self.name}: {self._hidden(error)}; grant SELECT on the table to its user"
            ) from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise UnreachableError(f"{self.name} went away: {self._hidden(error)}; try again") from error
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self.name} has text that is not UTF-8 (its database has no encoding); name a view that converts it"
            ) from error
        except psycopg2.Error as error:
            raise SourceError(f"{self.name}: {self._hidden(error)}; correct the table or name a view") from error

    def _hidden(self, error: Exception) -> str:
        """The first line of an error without the password."""
        text, password = first_line(error).strip(), self._options.get("password", "")
        return text.replace(password, "***") if password else text


def _hash(values: tuple[Any, ...]) -> bytes:
    """A hash of some texts; null differs from an empty text."""
    framed = b"".join(b"\0" if one is None else b"\1%d:" % len(one) + one.encode() for one in values)
    return blake2b(framed, digest_size=16).digest()
