"""Waits for a database that does not respond for a while, so that the processes of a run do not fail.

Dagster tries to connect to PostgreSQL six times within about six seconds. A restart takes longer, a failover minutes.
Without this module a run that wrote an event in that time failed, although its steps continued.
"""

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.exc import DBAPIError, TimeoutError  # noqa: A004 - of a pool of connections

WAIT_S = 300.0  # a failover of a managed PostgreSQL takes one to two minutes
PAUSES_S = (0.2, 5.0)  # the first pause between two tries, which doubles, and the longest pause
# in messages of a server that will accept connections soon; other FATAL messages concern password, user or database
FOR_NOW = ("starting up", "shutting down", "in recovery mode", "not yet accepting", "too many clients", "reserved for")


def wait_for_database(wait_s: float = WAIT_S) -> None:
    """Makes this process try connections to PostgreSQL for `wait_s`; has no effect without dagster-postgres."""
    if importlib.util.find_spec("dagster_postgres") is not None:
        utils: Any = importlib.import_module("dagster_postgres.utils")
        utils.retry_pg_connection_fn = partial(connected, wait_s=wait_s)


def connected(connect: Callable[[], Any], *_: Any, wait_s: float = WAIT_S, **__: Any) -> Any:
    """Repeats `connect` until it returns a connection.

    Args:
        connect: tries once; Dagster's own arguments for tries and pauses, which follow it, are ignored.
        wait_s: time limit in seconds.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: no connection in this time, or a rejection that is final.
    """
    deadline, (pause_s, longest_s), has_warned = time.monotonic() + wait_s, PAUSES_S, False
    while True:
        try:
            return connect()
        except (DBAPIError, TimeoutError) as error:
            if is_refusal(str(error)) or time.monotonic() > deadline:
                raise
            if not has_warned:
                sys.stderr.write(f"the database does not respond; retrying for {wait_s:g} s: {_line(error)}\n")
                has_warned = True
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, longest_s)


def is_refusal(words: str) -> bool:
    """Whether a server's error message means that another try would fail in the same way.

    >>> is_refusal('FATAL:  password authentication failed for user "sinet"')
    True
    >>> is_refusal("FATAL:  the database system is starting up"), is_refusal("Connection refused")
    (False, False)
    """
    return "FATAL" in words and not any(one in words for one in FOR_NOW)


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
