"""What a simulation hangs into the graph it runs; empty where steps are real processes."""

from collections.abc import Callable
from typing import Any

worker: Any = None  # the simulated worker whose step's code is running
router: Callable[[], Any] | None = None  # makes the executor of the running simulation
