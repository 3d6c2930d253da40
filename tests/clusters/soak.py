"""Many simulated runs under faults, one seed each, and a table of what they met: `make soak`, `SEEDS=n` for more.

A seed that is complained about is replayed by `simulations.simulation(seed).run()` in a test.
"""

import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.clusters.bench import Bench, bench
from tests.clusters.ended import Ended
from tests.clusters.faults import FAULTS

FIRST, SEEDS = 14, 500
GRAPHS = ("graph.py", "small_steps.py")
EVERY_S = 10.0  # between two lines of progress


class Met:
    """What runs met: how they ended by fault, and the reasons of attempts that ended early."""

    def __init__(self) -> None:
        self.runs: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[str] = Counter()
        self.complaints: dict[int, list[str]] = {}

    def add(self, seed: int, ended: Ended, complaints: list[str]) -> None:
        """Counts a run."""
        for fault in ended.faults:
            self.runs[fault, ended.status] += 1
        for reasons in ended.causes.values():
            self.reasons.update(reasons)
        if complaints:
            self.complaints[seed] = [f"{', '.join(ended.faults)}: {one}" for one in complaints]

    def table(self) -> str:
        """Runs by fault and end, then attempts by reason, then what was complained about."""
        ends = ("SUCCESS", "FAILURE", "CANCELED")
        lines = [f"{'fault':<18}" + "".join(f"{end:>10}" for end in ends)]
        for fault in FAULTS:
            lines.append(f"{fault:<18}" + "".join(f"{self.runs[fault, end]:>10}" for end in ends))
        lines += ["", "attempts that ended early, by reason"]
        lines += [f"{reason:<18}{count:>10}" for reason, count in self.reasons.most_common()]
        lines += [f"seed {seed}: {one}" for seed, found in self.complaints.items() for one in found]
        return "\n".join(lines)


def soak(shared: Bench, seeds: Iterable[int]) -> Met:
    """Runs the seeds one after the other, and prints how far it is."""
    met, began, reported = Met(), time.monotonic(), time.monotonic()
    wanted = list(seeds)
    for at, seed in enumerate(wanted, start=1):
        ended = shared.simulation(seed).run()
        met.add(seed, ended, ended.complaints())
        now = time.monotonic()
        if now - reported >= EVERY_S or at == len(wanted):
            reported = now
            message = f"{at} of {len(wanted)} seeds in {now - began:.0f} s, {len(met.complaints)} complained about"
            print(message, flush=True)
    return met


def main() -> int:
    """Runs `SEEDS` seeds of each graph from `FIRST` on; 1 where one of them was complained about."""
    logging.disable(logging.CRITICAL)
    first, count = int(os.environ.get("FIRST", FIRST)), int(os.environ.get("SEEDS", SEEDS))
    has_complaints = False
    for graph in GRAPHS:
        with tempfile.TemporaryDirectory() as folder:
            shared = bench(Path(folder), graph)
            try:
                met = soak(shared, range(first, first + count))
            finally:
                shared.close()
        print(f"{graph}\n{met.table()}")
        has_complaints |= bool(met.complaints)
    return 1 if has_complaints else 0


if __name__ == "__main__":
    sys.exit(main())
