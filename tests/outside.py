"""Sources outside of the platform to which tests add rows: a folder, a bucket, a table, a file at a web server."""

import csv
import io
import json

from sinet_pipelines.ingestion.connectors.s3 import OPTIONS
from sinet_pipelines.storage.objects import open_objects

KINDS = ("folder", "s3", "postgresql", "http")


class FolderOutside:
    """A folder with a file for each addition."""

    def __init__(self, folder):
        self.folder = folder / "my plant #1 50%"
        self.folder.mkdir()
        self.url, self.options, self._count = str(self.folder), {}, 0

    def add(self, rows):
        """Adds rows."""
        self._count += 1
        self.write(f"rows {self._count}.csv", as_csv(rows))

    def write(self, name, content):
        """Writes a file below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def rename(self, name, new):
        """Renames a file."""
        (self.folder / name).rename(self.folder / new)


class StoreOutside:
    """A prefix of a bucket with an object for each addition."""

    def __init__(self, store):
        self.url, self._count = f"s3://{store.bucket()}/my plant", 0
        self._objects = open_objects(self.url, store.options)
        self.options = {"endpoint_url": store.url, "access_key_id": store.key_id, "secret_access_key": store.secret}
        assert set(self.options) <= set(OPTIONS)

    def add(self, rows):
        """Adds rows."""
        self._count += 1
        self.write(f"rows {self._count} #?%.csv", as_csv(rows))

    def write(self, name, content):
        """Writes an object below the prefix."""
        self._objects.put(name, content)

    def rename(self, name, new):
        """Renames an object."""
        self._objects.put(new, self._objects.read(name))
        self._objects.delete(name)


class TableOutside:
    """A table with a number for each row; its speed is text, as it came from a form."""

    def __init__(self, database, table):
        from psycopg2 import sql

        self.database, self.table = database, table
        name = table.replace(" ", "%20").replace('"', "%22")
        self.url = f"postgresql://127.0.0.1:{database.port}/plant/public.{name}?watermark=id"
        self.options = {"user": "sinet", "password": database.password}
        database.execute(
            sql.SQL("CREATE TABLE {} (id bigserial, unit text, speed_rpm text, recorded_at timestamptz)").format(
                sql.Identifier(table)
            )
        )

    def add(self, rows):
        """Adds rows."""
        from psycopg2 import sql

        insert = sql.SQL("INSERT INTO {} (unit, speed_rpm, recorded_at) VALUES (%s, %s, %s)").format(
            sql.Identifier(self.table.replace("%", "%%"))  # beside values, a % begins a place for one
        )
        self.database.execute(*((insert, (row["unit"], str(row["speed_rpm"]), row["recorded_at"])) for row in rows))


class WebOutside:
    """One file at a web server, which has all rows after each addition."""

    def __init__(self, server):
        self.server, self._rows = server, []
        self.path = "/my plant/rows.csv"
        self.url, self.options = f"{server.url}/my%20plant/rows.csv", {}

    def add(self, rows):
        """Adds rows."""
        self._rows += rows
        self.server.files[self.path] = as_csv(self._rows)


def as_csv(rows):
    """Rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json_lines(rows):
    """Rows as JSON, one a line."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
