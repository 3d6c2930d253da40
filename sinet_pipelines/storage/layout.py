"""Makes all paths and URIs: the layout of a home, and the form of a place that each library needs.

Each region has a root of its own in a home, laid out by data class, so that a rule for a prefix is a rule for a class:

    raw/ sequence/ feature/ model/ personal/    tables: <class>/<application>/<table>
    landing/<application>/                      drops and events, class raw
    blobs/                                      models and regimes by content, refs in blobs/refs/<application>/
    raw/<application>/data_docs/<table>/        pages with samples of checked rows

A folder's name may have spaces, `#`, `?`, `%` and any alphabet. Libraries that accept paths receive paths; for those
that accept only URIs, the path is escaped here, once. A few names do not work with the pinned Delta library; they are
rejected before anything is written.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from sinet_pipelines.errors import StorageError
from sinet_pipelines.schemas.contract import AnyTable, DataClass
from sinet_pipelines.storage.roots import local_roots, region_folder

LANDING, BLOBS, REFS, DATA_DOCS = "landing", "blobs", "refs", "data_docs"
CLASSES = tuple(str(one) for one in DataClass)  # the folders of tables
PARTS = (LANDING, BLOBS, *CLASSES)  # all folders of a region's root
FREE = (DataClass.FEATURE, DataClass.MODEL)  # classes of tables that may leave: other regions read these directly
RECORDS = "landed"  # a folder of a home: one file for each application
_OLD_RECORDS = ("landing/fleet.json", "fleet.json")  # places of the record of a home in version 0.1
SQLITE = "sqlite:///"
# MLflow makes the parent folders of the escaped path after `sqlite:///`, but not with this spelling
SQLITE_ESCAPED = "sqlite+pysqlite:///"
ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# delta-rs 1.6 decodes an escape twice, and panics at or misreads the others; polars reads `a=b` as a partition value
REFUSED = re.compile(rf"{ESCAPE.pattern}|[=\[\]\\^|\x00-\x1f\x7f]")


def require_readable(folder: Path) -> None:
    """Rejects a folder whose tables could be written but not read.

    Args:
        folder: a home, or the root of a region's tables; it need not exist.

    Raises:
        StorageError: its path has an escape (`%25`), `=`, a bracket, a backslash, `^`, `|` or a control character.
    """
    found = REFUSED.search(str(folder.resolve()))
    if found:
        raise StorageError(
            f"no table can be kept under {str(folder.resolve())!r}: none is read from a path with {found.group()!r} "
            r"(not allowed: = [ ] \ ^ | and % before two hex digits); rename the folder, or name another with --home"
        )


def region_root(home: Path, region: str) -> Path:
    """The folder of a region, which has all of its data."""
    return region_folder(home, region)


def landing_root(home: Path, region: str, application: str) -> Path:
    """The landing zone of an application in a region.

    >>> str(landing_root(Path("/homes/a"), "EAST", "turbofan"))
    '/homes/a/EAST/landing/turbofan'
    """
    return region_root(home, region) / LANDING / application


def table_uri(root: str, application: str, table: AnyTable) -> str:
    """The place of a table: a path under a local root, a URI under an object store's prefix.

    Args:
        root: root of the region.
        application: application of the table; empty for a store of no application.
        table: its contract, or its name and class.

    >>> from sinet_pipelines.schemas.contract import TableName
    >>> table_uri("s3://sinet-east/plant", "turbofan", TableName("raw_telemetry", DataClass.RAW))
    's3://sinet-east/plant/raw/turbofan/raw_telemetry'
    """
    return "/".join(part for part in (root, str(table.data_class), application, table.name) if part)


def table_folder(home: Path, region: str, application: str, table: AnyTable) -> Path:
    """The folder of a table in a home."""
    return Path(table_uri(str(region_root(home, region)), application, table))


def data_docs(application: str) -> str:
    """The prefix of an application's data docs below a region's root: they have raw rows, so rules for these apply.

    >>> data_docs("turbofan")
    'raw/turbofan/data_docs'
    """
    return f"{DataClass.RAW}/{application}/{DATA_DOCS}"


def blobs_root(home: Path, region: str) -> Path:
    """The blobs of a region, which its applications share."""
    return region_root(home, region) / BLOBS


def refs_root(blobs: Path, application: str) -> Path:
    """The refs of an application in the folder of the blobs that they point at."""
    return blobs / REFS / application if application else blobs / REFS


def landing_folders(home: Path) -> list[Path]:
    """The `landing/` of every region's folder in a home, regions of the inventory or not, in order."""
    return _existing(home, LANDING)


def tables_folders(home: Path) -> list[Path]:
    """The folders of tables of a home, one for each region, class and application, in order."""
    roots = [root for name in CLASSES for root in _existing_in_roots(home, name)]
    return sorted(folder for root in roots for folder in root.glob("[!.]*") if folder.is_dir())


def blobs_folders(home: Path) -> list[Path]:
    """The folders of blobs in a home, one for each region, in order."""
    return _existing_in_roots(home, BLOBS)


def _existing_in_roots(home: Path, name: str) -> list[Path]:
    """Folders of this name in the home's regions, including regions whose root is another folder."""
    return [*_existing(home, name), *(folder for root in local_roots(home) if (folder := root / name).is_dir())]


def _existing(home: Path, name: str) -> list[Path]:
    return sorted(folder for folder in home.glob(f"[!.]*/{name}") if folder.is_dir())


def record_file(home: Path, application: str) -> Path:
    """The file in a home with the record of an application's landed data."""
    return home / RECORDS / f"{application}.json"


def record_copy(home: Path, application: str) -> Path:
    """The file in a home with the copy of that record."""
    return home / f"{RECORDS}-{application}.json"


def recorded_applications(home: Path) -> list[str]:
    """The applications that have a record or its copy in a home, in order."""
    records = {path.stem for path in (home / RECORDS).glob("[!.]*.json")}
    return sorted(records | {path.stem.removeprefix(f"{RECORDS}-") for path in home.glob(f"{RECORDS}-*.json")})


def require_layout(home: Path) -> None:
    """Rejects a home of version 0.1, whose landing zones and tables are at its top; the home does not change.

    Raises:
        StorageError: it is a home of version 0.1.
    """
    if any((home / name).is_file() for name in _OLD_RECORDS):
        old, new = (shlex.quote(str(path)) for path in (home, home.with_name(f"{home.name}-again")))
        raise StorageError(
            f"{home} was laid out by version 0.1 (its landing/ and tables/ are at its top) and is left as it is; "
            f"`sinet land {old} --format home --home {new}` lands its drops and events again in a new home"
        )


def is_local(uri: str) -> bool:
    """Whether this is a path of this machine and not the address of an object store."""
    return "://" not in uri


def file_paths(uri: str, added: Iterable[str]) -> list[str]:
    """Paths of a local table's data files.

    Args:
        uri: address of the table.
        added: the files in the form of its log, relative and escaped.
    """
    return [f"{uri}/{unquote(path)}" for path in added]


def relative_uri(uri: str, base: Path) -> str:
    """A table's place for a file in the base folder: relative if it is below that folder, so that both can move.

    >>> relative_uri("/homes/a/EAST/raw/rows", Path("/homes/a")), relative_uri("s3://bucket/rows", Path("/homes/a"))
    ('EAST/raw/rows', 's3://bucket/rows')
    """
    return str(Path(uri).relative_to(base)) if is_local(uri) and Path(uri).is_relative_to(base) else uri


def absolute_uri(uri: str, base: Path | None) -> str:
    """The place in the form of `relative_uri`, made absolute.

    >>> absolute_uri("EAST/raw/rows", Path("/homes/b"))
    '/homes/b/EAST/raw/rows'
    """
    return str(base / uri) if base is not None and is_local(uri) else uri


def home_name(data: Path | None) -> str:
    """The name of the home for a data folder, the same for every command; `simulated` without data.

    >>> home_name(Path("/data/6. Turbofan Engine Degradation Simulation Data Set"))
    '6.-Turbofan-Engine-Degradation-Simulation-Data-Set'
    """
    if data is None:
        return "simulated"
    name = re.sub(r"[^\w.-]", "-", data.resolve().name).lstrip(".")
    return name if name not in ("", "current", "simulated") else f"data-{name}".rstrip("-")


def sqlite_uri(path: Path) -> str:
    """The database's URI for SQLAlchemy, which decodes escapes and parses text after `?` as options.

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
    """The database of a home with MLflow's runs and versions."""
    return home / "mlflow.db"


def mlflow_artifacts(home: Path) -> Path:
    """The files of a home's MLflow runs."""
    return home / "mlflow-artifacts"
