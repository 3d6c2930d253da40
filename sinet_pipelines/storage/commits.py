"""The moment before stored data changes: whoever commits calls `before_commit`, and the process may refuse.

A step that was launched twice runs in two processes for a while; only the newest may commit. What knows of that hangs
its check in here. Blobs need no check: they are named by their content, and nothing refers to them before a commit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_checks: list[Callable[[], None]] = []  # of this process: it commits for one step at a time


class CommitRefusedError(BaseException):
    """A process that may not commit. No `Exception`: what handles faults of data or storage may not go on after it."""


@contextmanager
def commits_checked(check: Callable[[], None]) -> Iterator[None]:
    """Until left, every commit of this process is preceded by the check.

    Args:
        check: raises `CommitRefusedError` where nothing may change any more.
    """
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def before_commit() -> None:
    """Nothing, where the process may commit.

    Raises:
        CommitRefusedError: it may not; nothing was changed.
    """
    for check in _checks:
        check()
