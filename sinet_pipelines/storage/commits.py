"""The check before stored data changes: every commit calls `before_commit` first, which may refuse it.

A step that was launched twice runs in two processes for a while; only the newest may commit. A check for this is
registered here. Blobs need no check: their names depend on their content, and nothing refers to them before a commit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_checks: list[Callable[[], None]] = []  # of this process, which commits for one step at a time


class CommitRefusedError(BaseException):
    """The process may not commit. It is not an `Exception`, so handlers of data and storage faults do not catch it."""


@contextmanager
def commits_checked(check: Callable[[], None]) -> Iterator[None]:
    """Within this context, the check runs before every commit of this process.

    Args:
        check: raises `CommitRefusedError` if commits are no longer allowed.
    """
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def before_commit() -> None:
    """Returns if the process may commit.

    Raises:
        CommitRefusedError: it may not commit; nothing was changed.
    """
    for check in _checks:
        check()
