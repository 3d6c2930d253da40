"""The environment of model servers and their supervisors: only the variables that they need."""

import os
from pathlib import Path

import sinet_pipelines
from sinet_pipelines.usage_reports import SWITCHES

_PASSED = {
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "OMP_NUM_THREADS",
    "PATH",
    "SINET_SERVE_TOKEN",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
}
_PASSED_PREFIXES = ("LC_", "PYTHON")
_SET = {
    "MALLOC_ARENA_MAX": "2",  # glibc's default is 8 arenas a core, each of which keeps memory of large requests
    "GRPC_VERBOSITY": "NONE",  # otherwise each connection with another protocol writes a line to the log
}

SERVER_VARIABLES = {**SWITCHES, **_SET}  # set in every server


def own_region() -> str | None:
    """The region of this process's pod, from `SINET_REGION` of its Job; None on a person's machine."""
    return os.environ.get("SINET_REGION") or None


def server_environment() -> dict[str, str]:
    """The variables of a server process, without passwords and keys of this process."""
    kept = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    library = str(Path(sinet_pipelines.__path__[0]).parent)  # the package need not be installed
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (library, kept.get("PYTHONPATH"))))
    return {**kept, **SERVER_VARIABLES}
