"""A run waits for a PostgreSQL that is restarted, and not for one that refuses it."""

import importlib
import importlib.machinery
import importlib.util
import sys
import time
from types import ModuleType

import pytest
from sqlalchemy.exc import OperationalError

from resources.router import database
from resources.router.database import connected, wait_for_database

REFUSED = 'connection to server at "10.0.0.5", port 5432 failed: Connection refused'


def server(*words):
    """Connects as psycopg2 does, after as many failures as there are words."""
    left = list(words)

    def connect():
        if left:
            raise OperationalError("SELECT 1", {}, Exception(left.pop(0)))
        return "a connection"

    return connect


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(database, "PAUSES_S", (0.0, 0.001))


def test_more_failures_than_dagster_takes_are_waited_for_and_told_once(capsys):
    words = [REFUSED] * 20 + ["FATAL:  the database system is starting up"] * 3
    assert connected(server(*words), 5, 0.2) == "a connection"
    assert capsys.readouterr().err.count("the database does not respond; retrying for 300 s") == 1


@pytest.mark.parametrize("expected", ["password authentication failed for user", 'database "dagster" does not exist'])
def test_a_server_that_refuses_is_believed_at_once(expected):
    with pytest.raises(OperationalError, match=expected):
        connected(server(f"FATAL:  {expected}", "never asked for"))


def test_a_server_that_is_away_for_longer_is_given_up():
    began = time.monotonic()
    with pytest.raises(OperationalError, match="Connection refused"):
        connected(lambda: server(REFUSED)(), wait_s=0.05)
    assert time.monotonic() - began >= 0.05


def test_the_connections_of_dagster_postgres_are_made_so(monkeypatch):
    if importlib.util.find_spec("dagster_postgres") is None:  # the image has it, a developer's machine need not
        package, utils = ModuleType("dagster_postgres"), ModuleType("dagster_postgres.utils")
        package.__spec__ = importlib.machinery.ModuleSpec("dagster_postgres", None)
        monkeypatch.setitem(sys.modules, "dagster_postgres", package)
        monkeypatch.setitem(sys.modules, "dagster_postgres.utils", utils)
        utils.retry_pg_connection_fn = None
    else:
        utils = importlib.import_module("dagster_postgres.utils")
    monkeypatch.setattr(utils, "retry_pg_connection_fn", None)
    wait_for_database()
    assert utils.retry_pg_connection_fn(server(*[REFUSED] * 20)) == "a connection"
