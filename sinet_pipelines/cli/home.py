"""Which checkout and which home a command is about, and who holds it."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sinet_pipelines.errors import BusyError, StorageError, UsageError
from sinet_pipelines.ingestion.fleet import has_fleet
from sinet_pipelines.storage import locks
from sinet_pipelines.storage.layout import home_name, require_readable
from sinet_pipelines.storage.locks import RUN_LOCK, holder

OWN_INSTANCE = "SINET_OWN_INSTANCE"  # the $DAGSTER_HOME that a command set, in this process or the one that started it
STATE = ".sinet"  # beside workspace.yaml: one folder a fleet, and `current`, a link to the one last run
CURRENT = "current"
CACHE = "cache"  # a folder of a home that may be removed at any time
PROBE_S = 0.5  # a sensor that looks whether a run is at work holds its lock for an instant


def find_project(start: Path | None = None) -> Path:
    """The checkout: `$SINET_PROJECT`, or the first folder upwards that has a workspace.yaml.

    Raises:
        UsageError: there is none.
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
    """Whether this process was started with the instance of a deployment, as a pod of Dagster's cluster is.

    Steps in other clusters write their events into that one's database; SQLite in a home is no place for them.
    """
    given = os.environ.get("DAGSTER_HOME", "")
    is_given = given not in ("", os.environ.get(OWN_INSTANCE)) and (Path(given) / "dagster.yaml").is_file()
    return is_given and os.environ.get("SINET_EXECUTOR") == "regions"


def _home_of_clusters() -> Path | None:
    """The one home of a deployment, which its pods are told; None on a machine with homes of its own."""
    told = os.environ.get("SINET_HOME")
    return Path(told) if told and has_instance_of_clusters() else None


def state_folder() -> Path:
    """Where homes are kept: beside the checkout's workspace.yaml, or in the present folder without a checkout."""
    try:
        return find_project() / STATE
    except UsageError:
        return Path.cwd() / STATE


def home_of(data: Path | None) -> Path:
    """The home of a data folder, or of the simulated fleet without one: every command that is given data uses it."""
    return _home_of_clusters() or state_folder() / home_name(data)


def current_home(named: Path | None = None) -> Path:
    """The home a command is about: the one named, or the one that was last run.

    Raises:
        UsageError: none was ever run.
    """
    home = (named or _home_of_clusters() or state_folder() / CURRENT).resolve()
    if not has_fleet(home):
        known = f"no fleet in {home}" if named else "no fleet was run here yet"
        raise UsageError(f"{known}; `sinet run` walks a simulated one, `sinet run --data DIR` a real one")
    return home


def make_current(home: Path) -> None:
    """Makes this home the one that other commands and a bare `dagster dev` are about; a deployment has one alone."""
    if has_instance_of_clusters():
        return  # and its checkout is the image's, where a pod writes nothing
    state = state_folder()
    state.mkdir(parents=True, exist_ok=True)
    link = state / CURRENT
    if link.is_dir() and not link.is_symlink():  # a bare `dagster dev` before the first run made a folder of that name
        link.rename(state / f"before-first-run-{link.stat().st_ino}")
    fresh = state / f".{CURRENT}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    target = home.resolve()
    inside = target.parent == state.resolve()  # then the link still leads there when the checkout is moved
    fresh.symlink_to(target.name if inside else target, target_is_directory=True)
    fresh.replace(link)


def make_home(home: Path) -> Path:
    """The home's folder, made where it is not there.

    Raises:
        StorageError: it cannot be made or written, or its path is one that tables cannot be read from.
    """
    require_readable(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster").mkdir(exist_ok=True)
    except OSError as error:
        why = "no space is left" if error.errno == errno.ENOSPC else error.strerror
        raise StorageError(f"the home {home} cannot be made: {why}; free space or name another with --home") from error
    return home.resolve()


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Holds the home for one run; the lock goes with the process, however it ends.

    Raises:
        BusyError: another run holds it.
    """
    path = home / RUN_LOCK
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(path, wait_s=PROBE_S))
        except BusyError as error:
            other = f"another `sinet run` (process {holder(path)}) is at work in {home}"
            raise BusyError(f"{other}; wait for it, or name another --home") from error
        yield
