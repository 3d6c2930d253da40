"""A real PostgreSQL on a port of this machine, in a folder of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loopback import await_port, free_port

UNPRIVILEGED = 65_534  # the server refuses to run as root


@dataclass(frozen=True)
class Database:
    """A running server with one database `plant`.

    Attributes:
        port: on 127.0.0.1.
        password: of the user `sinet`, who owns it.
    """

    port: int
    password: str

    def connect(self):
        """A new connection of its owner."""
        import psycopg2

        return psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname="plant", user="sinet", password=self.password, connect_timeout=60
        )

    def execute(self, *statements):
        """Executes statements, each with its values or alone, in one transaction."""
        connection = self.connect()
        try:
            with connection, connection.cursor() as cursor:
                for one in statements:
                    cursor.execute(*one) if isinstance(one, tuple) else cursor.execute(one)
        finally:
            connection.close()


def _program(name):
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next(
        (path for path in [shutil.which(name), *(shutil.which(name, path=str(one)) for one in places)] if path), None
    )
    if found is None:
        pytest.skip(f"no {name} (looked in the PATH and /usr/lib/postgresql); install the Debian package postgresql")
    return found


@contextmanager
def running_database():
    """A database until left; skips the test where its server or its client is not installed."""
    pytest.importorskip("psycopg2", reason="no client of PostgreSQL; install psycopg2-binary")
    folder, password = Path(tempfile.mkdtemp(prefix="sinet-tests-database-")), secrets.token_hex(12)
    as_user = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        (folder / "password").write_text(password)
        for path in (folder, folder / "password") if as_user else ():
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
        data, port, log = folder / "data", free_port(), folder / "log"
        made = [_program("initdb"), "-D", data, "-U", "sinet", "-A", "scram-sha-256", "--pwfile", folder / "password"]
        made += ["-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run([*map(str, made)], check=True, capture_output=True, cwd=folder, **as_user)
        options = ["-p", port, "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]
        with log.open("wb") as output:
            command = [_program("postgres"), "-D", data, *options]
            process = subprocess.Popen([*map(str, command)], stdout=output, stderr=output, cwd=folder, **as_user)
        try:
            await_port(port, process, log=log)
            yield _with_plant(Database(port, password))
        finally:
            process.send_signal(signal.SIGINT)  # ends open connections
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_plant(database):
    import psycopg2

    from tests.waiting import until

    def connected():
        """The server has started."""
        try:
            return psycopg2.connect(
                host="127.0.0.1", port=database.port, dbname="postgres", user="sinet", password=database.password
            )
        except psycopg2.OperationalError as error:
            if "starting up" not in str(error):
                raise
            return None

    connection = until(connected)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE plant")
    connection.close()
    return database
