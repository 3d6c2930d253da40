"""The environment of a model server and of its supervisor: what they need of their starter's, and nothing else."""

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
    "MALLOC_ARENA_MAX": "2",  # glibc else keeps eight pools a core, and what one large request took in each of them
    "GRPC_VERBOSITY": "NONE",  # else a line of our log for every connection that speaks something else
}

SERVER_VARIABLES = {**SWITCHES, **_SET}  # of every server, whoever starts it


def own_region() -> str | None:
    """The region whose pod this process runs in, as its Job says; None on a person's machine."""
    return os.environ.get("SINET_REGION") or None


def server_environment() -> dict[str, str]:
    """The variables of a server process; passwords and keys of the starter are not among them."""
    kept = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    library = str(Path(sinet_pipelines.__path__[0]).parent)  # it may be on our path by other means than installation
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (library, kept.get("PYTHONPATH"))))
    return {**kept, **SERVER_VARIABLES}
