"""The only speller of paths and URIs: how each library must be given the place of a table, a database or a file.

A folder's name may hold spaces, `#`, `?`, `%` and any alphabet. Paths are passed as paths wherever a library takes one;
where it takes a URI only, the path is escaped here, once. A few names cannot be used with the pinned Delta library
and are refused before anything is written.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from sinet_pipelines.errors import StorageError

SQLITE = "sqlite:///"
# MLflow makes the parent folders of what follows `sqlite:///`, escapes and all; it leaves this spelling alone
SQLITE_ESCAPED = "sqlite+pysqlite:///"
ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# delta-rs 1.6 decodes an escape twice, and panics at or misreads the rest; polars reads `a=b` as a partition's value
REFUSED = re.compile(rf"{ESCAPE.pattern}|[=\[\]\\^|\x00-\x1f\x7f]")


def require_readable(folder: Path) -> None:
    """Refuses a folder whose tables could be written and never read.

    Args:
        folder: a home, or the root of a region's tables; need not exist.

    Raises:
        StorageError: its path holds an escape (`%25`), `=`, a bracket, a backslash, `^`, `|` or a control character.
    """
    found = REFUSED.search(str(folder.resolve()))
    if found:
        raise StorageError(
            f"no table can be kept under {str(folder.resolve())!r}: none is read from a path with {found.group()!r} "
            r"(not allowed: = [ ] \ ^ | and % before two hex digits); rename the folder, or name another with --home"
        )


def is_local(uri: str) -> bool:
    """Whether this is a path of this machine, not the address of an object store."""
    return "://" not in uri


def table_uri(root: str, table: str) -> str:
    """Where a table is: a path under a local root, a URI under an object store's prefix."""
    return f"{root}/{table}"


def file_paths(uri: str, added: Iterable[str]) -> list[str]:
    """Paths of a local table's data files.

    Args:
        uri: of the table.
        added: the files as its log spells them, relative and escaped.
    """
    return [f"{uri}/{unquote(path)}" for path in added]


def relative_uri(uri: str, base: Path) -> str:
    """A table's place as it is written into a file of the base folder: relative where it is below, so both can move.

    >>> relative_uri("/homes/a/tables/EAST/rows", Path("/homes/a")), relative_uri("s3://bucket/rows", Path("/homes/a"))
    ('tables/EAST/rows', 's3://bucket/rows')
    """
    return str(Path(uri).relative_to(base)) if is_local(uri) and Path(uri).is_relative_to(base) else uri


def absolute_uri(uri: str, base: Path | None) -> str:
    """The place that `relative_uri` wrote.

    >>> absolute_uri("tables/EAST/rows", Path("/homes/b"))
    '/homes/b/tables/EAST/rows'
    """
    return str(base / uri) if base is not None and is_local(uri) else uri


def home_name(data: Path | None) -> str:
    """The name of the home of a data folder, the same for every command; `simulated` without data.

    >>> home_name(Path("/data/6. Turbofan Engine Degradation Simulation Data Set"))
    '6.-Turbofan-Engine-Degradation-Simulation-Data-Set'
    """
    if data is None:
        return "simulated"
    name = re.sub(r"[^\w.-]", "-", data.resolve().name).lstrip(".")
    return name if name not in ("", "current", "simulated") else f"data-{name}".rstrip("-")


def sqlite_uri(path: Path) -> str:
    """The database as SQLAlchemy must be given it, which decodes escapes and takes what follows `?` for options.

    >>> sqlite_uri(Path("/data/my plant #2/mlflow.db"))
    'sqlite:////data/my plant #2/mlflow.db'
    >>> sqlite_uri(Path("/data/what?/mlflow.db"))
    'sqlite+pysqlite:////data/what%3F/mlflow.db'
    """
    plain = str(path)
    escaped = ESCAPE.sub(lambda found: f"%25{found.group()[1:]}", plain).replace("?", "%3F")
    return f"{SQLITE}{plain}" if escaped == plain else f"{SQLITE_ESCAPED}{escaped}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a `sqlite_uri`; None for the address of a server.

    >>> sqlite_path("sqlite+pysqlite:////data/what%3F/mlflow.db")
    PosixPath('/data/what?/mlflow.db')
    """
    for prefix in (SQLITE, SQLITE_ESCAPED):
        if uri.startswith(prefix):
            return Path(unquote(uri.removeprefix(prefix)))
    return None


def file_uri(path: Path) -> str:
    """The path as a `file://` URI, escaped once.

    >>> file_uri(Path("/data/my plant #2"))
    'file:///data/my%20plant%20%232'
    """
    return path.absolute().as_uri()


def mlflow_database(home: Path) -> Path:
    """MLflow's runs and versions of a home."""
    return home / "mlflow.db"


def mlflow_artifacts(home: Path) -> Path:
    """The files of a home's MLflow runs."""
    return home / "mlflow-artifacts"
