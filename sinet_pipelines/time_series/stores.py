"""Time-series stores: what each does with a line that it has already, and how it counts and removes rows.

| store | a line of the same series and instant | rows of a day |
|---|---|---|
| VictoriaMetrics | is kept beside the first one | counted, and removed by their tags before they are sent again |
| InfluxDB 1.x | replaces the fields of the first one | the same |
| another | as that store documents it | neither counted nor removed |

With `-dedup.minScrapeInterval=1ms`, VictoriaMetrics keeps one of several samples of an instant.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from sinet_pipelines.errors import StorageError, UnreachableError
from sinet_pipelines.inventory.time_series import StoreKind, TimeSeries
from sinet_pipelines.storage.tables import DAY_COLUMN
from sinet_pipelines.time_series.connection import Connection
from sinet_pipelines.time_series.lines import Shape

DAY_S = 24 * 3600
_NAME, _TEXT = '"', "'"  # quotes of names and texts in InfluxQL; PromQL has the first for both


class Store(Protocol):
    """A time-series store. It is used by one thread."""

    @property
    def name(self) -> str:
        """Its URL, for messages and pages."""

    @property
    def keeps_texts(self) -> bool:
        """Whether a field may be a text."""

    @property
    def counts(self) -> bool:
        """Whether it can count and remove rows."""

    def write(self, lines: list[str]) -> str:
        """Sends lines; returns why the store rejects one of them, an empty text where it takes all.

        Raises:
            UnreachableError: it does not respond in time, or has no place.
            ForbiddenError: it rejects the token.
            StorageError: it redirects, or is another kind of store.
        """

    def flush(self) -> None:
        """Makes the rows that it took visible to a count, where it can do that at once.

        Raises:
            UnreachableError: it does not respond in time.
        """

    def count(self, shape: Shape, day: date | None) -> int:
        """The rows that it has of a day of a table; of the whole table for None.

        Raises:
            StorageError: as `write`.
        """

    def remove(self, shape: Shape, day: date) -> None:
        """Removes all rows of a day of a table.

        Raises:
            StorageError: as `write`.
        """


def open_store(region: str, settings: TimeSeries) -> Store:
    """The store of a region, not yet connected.

    Raises:
        UsageError: its certificates cannot be read.
    """
    kinds = {
        StoreKind.VICTORIA_METRICS: VictoriaMetrics,
        StoreKind.INFLUXDB: InfluxDB,
        StoreKind.LINE_PROTOCOL: LineProtocol,
    }
    store: Store = kinds[settings.kind](Connection(region, settings))
    return store


class LineProtocol:
    """A store that takes lines at its URL; it receives nothing else.

    Args:
        connection: to the store.
    """

    keeps_texts = True
    counts = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def name(self) -> str:
        """The URL without its query."""
        return self._connection.shown

    def write(self, lines: list[str]) -> str:
        """Sends lines to the URL."""
        return self._rejected(self._connection.path, lines, self._connection.query)

    def flush(self) -> None:
        """Nothing: it does not count."""

    def count(self, shape: Shape, day: date | None) -> int:
        """0: it has no query."""
        return 0

    def remove(self, shape: Shape, day: date) -> None:
        """Nothing: it has no query."""

    def _rejected(self, path: str, lines: list[str], query: str | Mapping[str, str]) -> str:
        status, content = self._connection.post(path, "\n".join(lines).encode(), query=query)
        if content.lstrip().startswith(b"<"):
            raise StorageError(
                f"{self.name} answers with a web page, such as the login of a proxy; correct `url` of time_series"
            )
        return "" if status < 300 else _message(content) or f"status {status}"

    def _requested(self, path: str, form: Mapping[str, str]) -> bytes:
        status, content = self._connection.post(path, urlencode(form).encode(), form=True)
        if status >= 300:
            why = _message(content)[:300]
            raise StorageError(
                f"{self.name} rejects a query ({status}: {why}); correct `url` and `kind` of time_series"
            )
        return content

    def _answer(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError as error:
            raise StorageError(
                f"{self.name} answers a query with no JSON; correct `url` and `kind` of time_series"
            ) from error


class VictoriaMetrics(LineProtocol):
    """VictoriaMetrics, single node: each field is a series `<measurement>_<field>`; texts would become 0."""

    keeps_texts = False
    counts = True

    def write(self, lines: list[str]) -> str:
        """Sends lines to `/write`."""
        return self._rejected(f"{self._connection.path}/write", lines, {"precision": "ns"})

    def flush(self) -> None:
        """Requests a flush; where a proxy or a setting refuses that, rows become visible after up to 5 s."""
        try:
            self._connection.post(f"{self._connection.path}/internal/force_flush")
        except UnreachableError:
            raise
        except StorageError:  # refused: the count waits instead
            return

    def count(self, shape: Shape, day: date | None) -> int:
        """The number of samples of one field."""
        end = _end_of(day) if day is not None else datetime.now(UTC) + timedelta(days=1)
        span = f"{DAY_S}s" if day is not None else "100y"
        counted = f"{shape.measurement}_{shape.counted}"
        query = f"sum(count_over_time({{{_matching(shape, day, __name__=counted)}}}[{span}]))"
        form = {"query": query, "time": f"{end.timestamp():.3f}", "nocache": "1"}
        answer = self._answer(self._requested(f"{self._connection.path}/api/v1/query", form))
        try:
            found = answer["data"]["result"]
            return int(found[0]["value"][1]) if found else 0
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise StorageError(f"{self.name} answers a count with {answer!r:.200}; correct `kind`") from error

    def remove(self, shape: Shape, day: date) -> None:
        """Deletes the series with the tags of the day; they have no other days."""
        self._requested(
            f"{self._connection.path}/api/v1/admin/tsdb/delete_series", {"match[]": f"{{{_matching(shape, day)}}}"}
        )


class InfluxDB(LineProtocol):
    """InfluxDB 1.x with InfluxQL; the last part of the URL's path is the database."""

    counts = True

    def write(self, lines: list[str]) -> str:
        """Sends lines to the database."""
        return self._rejected("/write", lines, {"db": self._database, "precision": "ns"})

    def count(self, shape: Shape, day: date | None) -> int:
        """The number of points with one field."""
        selected = f"SELECT COUNT({_quoted(shape.counted, _NAME)})"
        return self._number(self._query(f"{selected} FROM {_of(shape, day)}"))

    def remove(self, shape: Shape, day: date) -> None:
        """Deletes the points with the tags of the day."""
        self._query(f"DELETE FROM {_of(shape, day)}")  # noqa: S608 - names of contracts and regions, quoted

    @property
    def _database(self) -> str:
        return self._connection.path.lstrip("/")

    def _query(self, query: str) -> Any:
        answer = self._answer(self._requested("/query", {"db": self._database, "q": query}))
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or not results or "error" in results[0]:
            why = results[0]["error"] if isinstance(results, list) and results else repr(answer)[:200]
            raise StorageError(f"{self.name} rejects a query ({why}); correct `url` and `kind` of time_series")
        return results[0]

    def _number(self, result: Any) -> int:
        try:
            return int(result["series"][0]["values"][0][1]) if result.get("series") else 0
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise StorageError(f"{self.name} answers a count with {result!r:.200}; correct `kind`") from error


def _message(content: bytes) -> str:
    """The message in a response: of JSON, its `error` or `message`."""
    text = content.decode(errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        text = str(found.get("error") or found.get("message") or text)
    return " ".join(text.split())


def _end_of(day: date) -> datetime:
    """The last millisecond of a day."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1) - timedelta(milliseconds=1)


def _tags(shape: Shape, day: date | None) -> dict[str, str]:
    return {**shape.same, **({DAY_COLUMN: day.isoformat()} if day is not None else {})}


def _matching(shape: Shape, day: date | None, **more: str) -> str:
    return ",".join(f"{key}={_quoted(value, _NAME)}" for key, value in {**more, **_tags(shape, day)}.items())


def _of(shape: Shape, day: date | None) -> str:
    """The measurement and its tags, in InfluxQL."""
    tags = " AND ".join(f"{_quoted(key, _NAME)} = {_quoted(value, _TEXT)}" for key, value in _tags(shape, day).items())
    return f"{_quoted(shape.measurement, _NAME)} WHERE {tags}"


def _quoted(text: str, quote: str) -> str:
    """A text in quotes, escaped as PromQL and InfluxQL do."""
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
