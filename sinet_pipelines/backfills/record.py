"""The state of a backfill, read from its journal: what it is to make, what ended, how its estimates compare."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sinet_pipelines.backfills.estimates import Estimate
from sinet_pipelines.backfills.history import MEASURES
from sinet_pipelines.backfills.journal import Entry, journal_path, read_entries

#: Kinds of entries. The last one of `_STATES` decides the state.
BEGUN, RESUMED, PLANNED, REPLANNED = "begun", "resumed", "planned", "replanned"
RUN_STARTED, RUN_ENDED = "run_started", "run_ended"
PAUSED, CANCELLED, FINISHED = "paused", "cancelled", "finished"
_STATES = {BEGUN: "running", RESUMED: "running", PAUSED: "paused", CANCELLED: "cancelled"}
DONE, FAILED = "done", "failed"  # states of a finished backfill
ENDED = (DONE, CANCELLED)  # nothing is left to resume


@dataclass(frozen=True)
class BackfillRecord:
    """One backfill as its journal has it.

    Attributes:
        number: of the backfill.
        home: the home in which it was begun.
        goal: selection, assets, days and options, as they were when it was begun.
        state: running, paused, cancelled, done or failed; `running` also after a kill.
        begun_at: ISO time.
        process: pid and start time of the process that last executed it.
        code: code version of each asset when it was begun, or planned anew.
        estimates: of the first plan, by measure.
        runs: the runs that ended.
        finished: the last entry of a finished backfill, empty for others.
    """

    number: int
    home: str
    goal: Mapping[str, Any]
    state: str
    begun_at: str
    process: tuple[int, float]
    code: Mapping[str, str]
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    runs: Sequence[Entry] = ()
    finished: Entry = field(default_factory=dict)

    @property
    def truths(self) -> Mapping[str, float]:
        """The amounts that all runs together took, by measure; of a measure that could not be read there is none."""
        measured = [name for name in MEASURES if all(run["amounts"].get(name) is not None for run in self.runs)]
        return {name: sum(run["amounts"][name] for run in self.runs) for name in measured}

    @property
    def is_comparable(self) -> bool:
        """Whether the backfill made exactly what its first estimate was for."""
        return bool(self.finished.get("as_planned"))

    def is_of(self, home: Path) -> bool:
        """Whether it belongs to this home: begun in it, or in a folder that was moved here.

        A copied home has the journals of the original, which still exists.
        """
        if self.home == str(home):
            return True
        original = read_entries(journal_path(Path(self.home), self.number))
        return not original or original[0] != read_entries(journal_path(home, self.number))[0]


def record_of(number: int, entries: Sequence[Entry]) -> BackfillRecord:
    """The backfill of these entries, of which the first begins it."""
    first = entries[0]
    sessions = [entry for entry in entries if entry["kind"] in (BEGUN, RESUMED)]
    states = [_state(entry) for entry in entries if entry["kind"] in (*_STATES, FINISHED)]
    codes = [entry["code"] for entry in entries if "code" in entry]
    planned = next((entry for entry in entries if entry["kind"] == PLANNED), {})
    ended = entries[-1] if entries[-1]["kind"] == FINISHED else {}
    return BackfillRecord(
        number=number,
        home=first["home"],
        goal=first["goal"],
        state=states[-1],
        begun_at=first["at"],
        process=(sessions[-1]["pid"], sessions[-1]["process_started"]),
        code=codes[-1] if codes else {},
        estimates={name: _estimate(found) for name, found in planned.get("estimates", {}).items()},
        runs=[entry for entry in entries if entry["kind"] == RUN_ENDED],
        finished=ended,
    )


def coverage(records: Iterable[BackfillRecord]) -> dict[str, tuple[int, int]]:
    """For each measure, how many intervals of finished backfills held the truth, and of how many."""
    found = dict.fromkeys(MEASURES, (0, 0))
    for record in records:
        if record.is_comparable:
            for name, truth in record.truths.items():
                held = record.estimates[name].holds(truth) if name in record.estimates else None
                if held is not None:
                    found[name] = (found[name][0] + held, found[name][1] + 1)
    return found


def _state(entry: Entry) -> str:
    return str(entry["state"]) if entry["kind"] == FINISHED else _STATES[entry["kind"]]


def _estimate(found: Mapping[str, Any]) -> Estimate:
    return Estimate(found["value"], found["lower"], found["upper"], found["runs"], tuple(found["unknown"]))
