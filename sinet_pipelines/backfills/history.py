"""What past runs took: each step with the number of days it made, its seconds, its cost and its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The part of a run beside its steps, as an asset of its own: start, end, and the file of its events.
RUN = ""
SECONDS, USD, EVENT_BYTES, TABLE_BYTES = "seconds", "cost_usd", "event_log_bytes", "table_bytes"
AMOUNTS = (SECONDS, USD, EVENT_BYTES)  # of each step; bytes of tables come from the files of their days
MEASURES = (*AMOUNTS, TABLE_BYTES)


@dataclass(frozen=True)
class Step:
    """One finished step of a past run, or of a planned run whose amounts are not known yet.

    Attributes:
        asset: its key; `RUN` for the run beside its steps.
        days: how many days it made; 0 for an asset without days.
        amounts: by name (`AMOUNTS`): seconds, USD, bytes of the event log.
    """

    asset: str
    days: int
    amounts: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class PastRun:
    """A past run with its finished steps; of a successful run one of these is `RUN`."""

    run_id: str
    steps: tuple[Step, ...]

    def total(self, amount: str) -> float:
        """The sum of an amount over all steps."""
        return sum(step.amounts.get(amount, 0.0) for step in self.steps)
