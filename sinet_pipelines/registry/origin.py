"""Finds the code that makes a run or a version: the commit, the state of the working tree, and the commit's author."""

import getpass
import os
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sinet_pipelines.words import counted

# the first two are MLflow's own tags, which its UI shows
COMMIT_TAG = "mlflow.source.git.commit"
USER_TAG = "mlflow.user"
TREE_TAG = "git.tree"
AUTHOR_TAG = "git.author"
UNKNOWN = "unknown"
WORKSPACE = "workspace.yaml"
_GIT_S = 10.0  # time limit of one call of git: enough for a large tree on a slow disk


@dataclass(frozen=True)
class Origin:
    """The origin of the running code.

    Attributes:
        commit: its SHA, or `unknown` outside a repository.
        tree: `clean`, or the number of files that differ from the commit.
        author: name of the commit's author.
        user: name of the account of this process.
    """

    commit: str
    tree: str
    author: str
    user: str

    @property
    def tags(self) -> dict[str, str]:
        """The origin as tags of a run or a version."""
        return {COMMIT_TAG: self.commit, TREE_TAG: self.tree, AUTHOR_TAG: self.author, USER_TAG: self.user}


@lru_cache
def origin_of(project: Path) -> Origin:
    """The origin of this process's code. It is read once, since a process keeps the code that it has loaded.

    The origin is unknown where no repository tracks the project's `workspace.yaml` (as for a package installed inside
    another checkout), and on a machine without git.

    Args:
        project: the checkout, or a folder of links to one.
    """
    folder = (project / WORKSPACE).resolve().parent
    known = _git(folder, "ls-files", "--error-unmatch", WORKSPACE)
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--", ".")
    if known is None or commit is None or changed is None:
        return Origin(UNKNOWN, UNKNOWN, UNKNOWN, _user())
    count = len(changed.splitlines())
    tree = "clean" if not count else f"{counted(count, 'file')} {'differs' if count == 1 else 'differ'} from the commit"
    return Origin(commit, tree, _git(folder, "log", "-1", "--format=%an") or UNKNOWN, _user())


def _git(folder: Path, *words: str) -> str | None:
    """The output of a git command in a folder; None where it fails."""
    # variables of a git hook could select another repository; the option avoids a write to the index
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        ended = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return UNKNOWN
