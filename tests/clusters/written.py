"""What a simulated run wrote to its event log: steps that succeeded or failed, their places, and events too late."""

from collections import Counter
from dataclasses import dataclass, field

from dagster import DagsterEvent, DagsterEventType, DagsterInstance

LAST_OF_A_STEP = (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE)


@dataclass
class Written:
    """What the event log of one run holds, by step.

    Attributes:
        materialized: materialisations.
        succeeded: successes.
        failures: the message of the failure.
        causes: why attempts ended early, as the router noted it.
        left: Jobs that the router reports as left behind.
        places: `REGION/hardware` of each Job.
        late: events of steps after the end of their run, or after a step's own last event.
    """

    materialized: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    causes: dict[str, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    places: dict[str, list[str]] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    _ended: set[str | None] = field(default_factory=set)  # steps; None: the run

    def add(self, event: DagsterEvent) -> None:
        """Takes the next event."""
        step = str(event.step_key)
        if event.is_step_event and not event.is_engine_event and self._ended & {event.step_key, None}:
            self.late.append(f"{event.event_type_value} of {event.step_key}")
        if event.event_type in LAST_OF_A_STEP:
            self._ended.add(event.step_key)
        elif event.event_type is DagsterEventType.PIPELINE_CANCELED:
            self._ended.add(None)
        if event.event_type is DagsterEventType.ASSET_MATERIALIZATION:
            self.materialized[step] += 1
        elif event.event_type is DagsterEventType.STEP_SUCCESS:
            self.succeeded[step] += 1
        elif event.event_type is DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            self.failures[step] = error.message if error else ""
        elif event.event_type is DagsterEventType.ENGINE_EVENT:
            self._add_note(step, event)

    def _add_note(self, step: str, event: DagsterEvent) -> None:
        """Takes what the router noted about a step."""
        noted = event.engine_event_data.metadata
        if "ending" in noted:
            self.causes.setdefault(step, []).append(str(noted["ending"].value))
        if "left behind" in noted:
            self.left.append(str(noted["left behind"].value))
        if "job" in noted:
            self.places.setdefault(step, []).append(f"{noted['region'].value}/{noted['hardware'].value}")


def read_events(instance: DagsterInstance, run_id: str) -> Written:
    """What a run wrote, in the order of its event log."""
    written = Written()
    for entry in instance.all_logs(run_id):
        if entry.dagster_event is not None:
            written.add(entry.dagster_event)
    return written
