"""Finds the checkout and the home that a command works on, and locks the home."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sinet_pipelines.errors import BusyError, StorageError, UsageError
from sinet_pipelines.ingestion.record import has_record
from sinet_pipelines.storage import locks
from sinet_pipelines.storage.layout import home_name, require_layout, require_readable
from sinet_pipelines.storage.locks import RUN_LOCK, holder

OWN_INSTANCE = "SINET_OWN_INSTANCE"  # the $DAGSTER_HOME that a command set, in this process or in its parent
STATE = ".sinet"  # beside workspace.yaml: a home for each fleet, and `current`, a link to the one last run
CURRENT = "current"
CACHE = "cache"  # a folder of a home that may be removed at any time
PROBE_S = 0.5  # a sensor that checks for a run holds its lock for a moment only


def find_project(start: Path | None = None) -> Path:
    """The checkout: `$SINET_PROJECT`, or the nearest folder at or above `start` that has a workspace.yaml.

    Raises:
        UsageError: there is no checkout.
    """
    named = os.environ.get("SINET_PROJECT")
    if named:
        if not (Path(named) / "workspace.yaml").exists():
            raise UsageError(f"SINET_PROJECT is {named}, which has no workspace.yaml; set it to a checkout")
        return Path(named).resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "workspace.yaml").exists():
            return folder
    raise UsageError(f"no workspace.yaml in {here} or above it; go to a checkout or name one with --project")


def has_instance_of_clusters() -> bool:
    """Whether this process runs with the Dagster instance of a deployment, as in a pod of Dagster's cluster.

    Steps in other clusters write their events to the database of that instance; they cannot reach SQLite in a home.
    """
    given = os.environ.get("DAGSTER_HOME", "")
    is_given = given not in ("", os.environ.get(OWN_INSTANCE)) and (Path(given) / "dagster.yaml").is_file()
    return is_given and os.environ.get("SINET_EXECUTOR") == "regions"


def _home_of_clusters() -> Path | None:
    """The one home of a deployment, from the environment of its pods; None on a machine with its own homes."""
    home = os.environ.get("SINET_HOME")
    return Path(home) if home and has_instance_of_clusters() else None


def state_folder() -> Path:
    """The folder of all homes: beside the checkout's workspace.yaml, or in the current folder without a checkout."""
    try:
        return find_project() / STATE
    except UsageError:
        return Path.cwd() / STATE


def home_of(data: Path | None) -> Path:
    """The home of a data folder, or of the simulated fleet without one; every command with a data folder uses this."""
    return _home_of_clusters() or state_folder() / home_name(data)


def current_home(named: Path | None = None) -> Path:
    """The named home, or else the one that was last run.

    Raises:
        UsageError: no home was run yet, or the named folder is not a home.
    """
    home = home_if_run(named)
    if home is None:
        raise UsageError(f"{no_fleet(named)}; `sinet run` makes a simulated one, `sinet run --data DIR` a real one")
    return home


def home_if_run(named: Path | None = None) -> Path | None:
    """The home of `current_home`, or None where no fleet was run there yet."""
    home = (named or _home_of_clusters() or state_folder() / CURRENT).resolve()
    require_layout(home)
    return home if has_record(home) else None


def no_fleet(named: Path | None) -> str:
    """Why there is no home, as the beginning of a sentence."""
    return f"no fleet in {named.resolve()}" if named else "no fleet was run here yet"


def make_current(home: Path) -> None:
    """Makes this the home of later commands and of a bare `dagster dev`; a deployment has one home alone."""
    if has_instance_of_clusters():
        return  # the checkout is part of the image, where a pod writes nothing
    state = state_folder()
    state.mkdir(parents=True, exist_ok=True)
    link = state / CURRENT
    if link.is_dir() and not link.is_symlink():  # a bare `dagster dev` before the first run made a folder of this name
        link.rename(state / f"before-first-run-{link.stat().st_ino}")
    fresh = state / f".{CURRENT}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    target = home.resolve()
    inside = target.parent == state.resolve()  # a relative link still works when the checkout is moved
    fresh.symlink_to(target.name if inside else target, target_is_directory=True)
    fresh.replace(link)


def make_home(home: Path) -> Path:
    """The home's folder; created where it does not exist.

    Raises:
        StorageError: it cannot be created or written, or tables cannot be read from its path.
    """
    require_readable(home)
    require_layout(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster").mkdir(exist_ok=True)
    except OSError as error:
        why = "no space is left" if error.errno == errno.ENOSPC else error.strerror
        raise StorageError(f"the home {home} cannot be made: {why}; free space or name another with --home") from error
    return home.resolve()


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Locks the home for one run; the lock ends with the process.

    Raises:
        BusyError: another run holds the lock.
    """
    path = home / RUN_LOCK
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(path, wait_s=PROBE_S))
        except BusyError as error:
            other = f"another `sinet run` (process {holder(path)}) is in progress in {home}"
            raise BusyError(f"{other}; wait for it, or name another --home") from error
        yield
