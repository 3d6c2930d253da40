"""How tests wait: for a condition, with a deadline that only ends a test which would hang for ever.

A deadline states nothing about speed. It fits a machine ten times slower than an idle laptop with two cores, so a test
that meets its condition late still passes. What must be fast is measured by `make bench`.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 300.0  # for one process to start, answer or end: some seconds on an idle machine


def until(holds: Callable[[], T], *, limit_s: float = LIMIT_S, every_s: float = 0.05) -> T:
    """Waits until a condition holds; returns what it returned.

    Args:
        holds: returns something true once the condition holds.
        limit_s: after which the test fails.
        every_s: seconds between two tries.
    """
    deadline = time.monotonic() + limit_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {getattr(holds, '__doc__', None) or holds}"
        time.sleep(every_s)
    return found
