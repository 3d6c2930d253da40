"""The sensor of the automation conditions: evaluates them when something happened, not every time it is called.

An evaluation reads the newest records of all assets and costs a second of CPU with two applications. Without a new
record in the event log it would find what the last one found. A full evaluation every `FULL_LOOK_S` seconds covers
what appears in no event: the hour of a daily asset, wiped events, code that was loaded again. While nothing is new,
Dagster's daemon evaluates the sensor every two minutes (`sinet_pipelines/cli/resting.py`).
"""

import time
from datetime import UTC, datetime

import dagster as dg

from resources.dagster_private import SensorExecutionData
from sinet_pipelines.deployment.changes import AFTER, FULL_LOOK_S, Reads

NAME = "what_follows"
NOTHING_NEW = "no event was recorded since the conditions were last evaluated"


class WhatFollows(dg.AutomationConditionSensorDefinition):
    """Requests the assets whose automation condition is true; evaluates only after a new event."""

    def __init__(self) -> None:
        super().__init__(
            NAME,
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=30,
            tags={AFTER: Reads.EVENTS.value},
            use_user_code_server=True,
        )
        self._evaluated: tuple[int | None, str | None] | None = None
        self._evaluated_at = datetime.min.replace(tzinfo=UTC)
        self._expires_s = 0.0  # of the monotonic clock

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Evaluates the conditions, or returns at once where the last evaluation holds.

        An evaluation that requested a run holds for nothing: the run has to appear in the event log first.
        """
        newest = context.instance.event_log_storage.get_maximum_record_id()
        if self._holds(newest, context.cursor):
            return SensorExecutionData(
                run_requests=[], skip_message=NOTHING_NEW, cursor=context.cursor, dagster_run_reactions=[]
            )
        self._evaluated = None
        found = super().evaluate_tick(context)
        if not found.run_requests:
            self._evaluated = (newest, found.cursor)
            self._evaluated_at, self._expires_s = datetime.now(UTC), time.monotonic() + FULL_LOOK_S
        return found

    def _holds(self, newest: int | None, cursor: str | None) -> bool:
        """Whether nothing was recorded since the last evaluation of this process, which is of the same hour."""
        same_hour = _hour(datetime.now(UTC)) == _hour(self._evaluated_at)
        return self._evaluated == (newest, cursor) and same_hour and time.monotonic() < self._expires_s


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
