"""Jobs to delete, and Jobs whose step has ended: deletes them or waits for their end, where regions respond."""

from dataclasses import dataclass

from dagster import DagsterEvent

from resources.dagster_private import EngineEventData, PlanOrchestrationContext
from resources.router.attempts import Attempt
from resources.router.clock import Clock, Patience
from resources.router.connections import RegionClusters
from resources.router.explanations import Explanations
from sinet_pipelines.errors import ClusterError
from sinet_pipelines.inventory.regions import Inventory

CLEAN_EVERY_S = 2
SUCCESS_KEPT_S = 600  # long enough to read its output; the event log has its end


@dataclass
class Condemned:
    """A Job to delete, and the time until which an unconfirmed creation may still create it."""

    attempt: Attempt
    region: str
    namespace: str
    name: str
    until: float
    trouble: str = ""


class Leftovers:
    """The Jobs that attempts leave in the clusters."""

    def __init__(
        self,
        clusters: RegionClusters,
        explanations: Explanations,
        inventory: Inventory,
        *,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._inventory = inventory
        self._clusters, self._explanations = clusters, explanations
        self._clock, self._patience = clock, patience
        self._condemned: dict[tuple[str, str, str], Condemned] = {}
        self._leaving: list[tuple[Attempt, float]] = []
        self._done: list[Attempt] = []
        self._cleaned_at = float("-inf")

    def condemn(self, attempt: Attempt) -> None:
        """Marks the attempt's Job for deletion, if it exists or may still be created."""
        if not attempt.is_created and not attempt.may_appear_until:
            return  # it was never requested, or certainly rejected
        key = (attempt.region, attempt.namespace, attempt.name)
        self._condemned[key] = Condemned(attempt, *key, until=attempt.may_appear_until)
        self.clean(now=True)

    def leave(self, attempt: Attempt) -> None:
        """Lets the Job of a step that has ended end by itself, for a while."""
        self._leaving.append((attempt, self._clock.now()))

    def of(self, step_key: str) -> list[Condemned]:
        """The step's Jobs that still exist."""
        return [one for one in self._condemned.values() if one.attempt.step_key == step_key]

    def clean(self, *, now: bool = False) -> None:
        """Deletes marked Jobs; a region that does not respond is tried again in the next call."""
        if not now and self._clock.now() - self._cleaned_at < CLEAN_EVERY_S:
            return
        self._cleaned_at = self._clock.now()
        leaving, self._leaving = self._leaving, []
        self._leaving += [(attempt, since) for attempt, since in leaving if self._stays(attempt, since)]
        self._done = [attempt for attempt in self._done if not self._is_shortened(attempt)]
        for key, one in list(self._condemned.items()):
            try:
                gone = self._clusters.get(one.region).delete(one.namespace, one.name)
            except ClusterError as error:
                one.trouble = str(error)
                continue
            if gone and self._clock.now() >= one.until:
                self._condemned.pop(key, None)

    def finish(self, plan: PlanOrchestrationContext) -> None:
        """Waits until no Job is left; records which could not be deleted, and the command that deletes them."""
        deadline = self._clock.now() + self._patience.cleanup_s
        while True:
            self.clean(now=True)
            if not (self._leaving or self._condemned) or self._clock.now() >= deadline:
                break
            self._clock.sleep(1.0)
        for left in self._condemned.values():
            kubectl = self._inventory.region(left.region).cluster.kubectl(namespace=left.namespace)
            command = f"{kubectl} delete job {left.name}"
            if not left.trouble:
                command += f"; where its node is lost: {kubectl} delete pod -l job-name={left.name} --force"
            why = left.trouble or "its pod does not end"
            message = f"Job {left.name} may be left in {left.region} ({why}); delete it: {command}"
            DagsterEvent.engine_event(plan, message, EngineEventData(metadata={"left behind": left.name}))

    def _is_shortened(self, attempt: Attempt) -> bool:
        """Whether the Job of a successful step will be deleted soon; without the right for that, it stays a day."""
        try:
            self._clusters.get(attempt.region).shorten(attempt.namespace, attempt.name, kept_s=SUCCESS_KEPT_S)
        except ClusterError as error:
            return error.is_final
        return True

    def _stays(self, attempt: Attempt, since: float) -> bool:
        """Whether a Job whose step wrote its final event must still be watched until it ends."""
        if not attempt.is_created:  # its creation was never confirmed
            return self._give_up(attempt)
        try:
            seen, answers = self._explanations.look(attempt), True
        except ClusterError:
            seen, answers = None, False
        if seen is not None and seen.is_suspended:  # its queue could resume it and start a pod for nothing
            return self._give_up(attempt)
        if answers and (seen is None or seen.is_finished):
            if seen and seen.is_complete:
                self._done.append(attempt)
            return False
        if self._clock.now() - since < self._patience.farewell_s:
            return True
        return self._give_up(attempt)

    def _give_up(self, attempt: Attempt) -> bool:
        if attempt.is_created or attempt.may_appear_until:
            key = (attempt.region, attempt.namespace, attempt.name)
            self._condemned[key] = Condemned(attempt, *key, until=attempt.may_appear_until)
        return False
