"""How a simulated run ended, and what of it is not as it was promised."""

from collections import Counter
from dataclasses import dataclass

from resources.router.endings import REASONS

LIMIT_S = 4 * 3600  # a run that takes longer hangs


@dataclass
class Ended:
    """How a run ended, and what became of its clusters."""

    seed: int
    status: str
    materialized: Counter[str]
    succeeded: Counter[str]
    failures: dict[str, str]
    causes: dict[str, list[str]]
    left: list[str]
    dangling: list[str]
    took_s: float
    faults: list[str]
    places: dict[str, list[str]]
    done: Counter[str]
    late: list[str]  # words of steps after the end of their run, or after a step's own last word
    steps: int = 5

    def complaints(self) -> list[str]:
        """What is not as it was promised."""
        found = []
        if twice := [step for step, times in self.succeeded.items() if times > 1]:
            found.append(f"run to success twice: {twice}")
        if twice := [step for step, times in self.materialized.items() if times > 1]:
            found.append(f"materialised twice: {twice}")
        if unnamed := [job for job in self.dangling if job not in self.left]:
            found.append(f"dangling: {unnamed}")
        if self.status == "SUCCESS" and len(self.materialized) != self.steps:
            found.append(f"success with {sorted(self.materialized)} alone")
        if self.status == "FAILURE":
            if not self.failures:
                found.append("failed without a failed step")
            found += [
                f"{step} failed without a name: {how}"
                for step, how in self.failures.items()
                if not self._named(step, how)
            ]
        if self.status == "CANCELED" and not {"cancel", "cancel_resumed"}.intersection(self.faults):
            found.append("canceled by nobody")
        if self.status not in ("SUCCESS", "FAILURE", "CANCELED"):
            found.append(f"lost: it is {self.status}")
        if self.late:
            found.append(f"written too late: {self.late}")
        if self.took_s > LIMIT_S:
            found.append(f"took {self.took_s:.0f} s")
        return found

    def _named(self, step: str, how: str) -> bool:
        return any(f"{name}:" in how for name in REASONS) or bool(
            self.causes.get(step)
        )  # the reason beside it, in the log
