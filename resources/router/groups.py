"""Step groups: one pod executes several small steps of its run in sequence, since starting a pod takes seconds.

The worker of a small step's Job waits for further steps (`resources/router/lingering.py`). A small step that is ready
and fits into the pod is offered to it. An offer that is not taken in time is withdrawn, and the step gets a Job of its
own. A pod whose step failed, moved or was given up gets no further step.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, MetadataValue

from resources.dagster_private import PlanOrchestrationContext, StepHandlerContext
from resources.router import hand_overs
from resources.router.attempts import Attempt
from resources.router.clock import Clock, Patience
from resources.router.endings import DEADLINE_EXCEEDED, Ending
from resources.router.explanations import Explanations
from resources.router.hand_overs import State
from resources.router.leftovers import Leftovers
from resources.router.places import Place
from resources.router.seen import WORKER
from resources.router.stores import store_config
from resources.router.verdicts import verdict
from resources.router.worker import COMMAND, LINGER
from sinet_pipelines.errors import ClusterError, UsageError
from sinet_pipelines.inventory.regions import Inventory
from sinet_pipelines.placement.bindings import deadline_s, step_config
from sinet_pipelines.placement.needs import Needs

IN_DOUBT_S = 5.0  # a worker may end so long before the end of its wait: the event log shows a step's end late
STORES = "stores"  # what a step's pod mounts: a worker executes only steps that open the stores of its first step
AT_MOST_WAITING = 3  # steps that wait for one worker: a further ready step begins sooner in its own pod


@dataclass
class Group:
    """A Job whose worker executes several steps.

    Attributes:
        founder: the attempt that the Job was created for.
        shape: the properties that a pod of another step must share with it.
        cpu_millicores: of the pod.
        memory_mib: of the pod.
        ends_at: the time limit of its Job.
        linger_s: how long its worker waits without a step.
        members: steps that it executes or that wait for it, the oldest first.
        moved_at: time of its last progress: it started, or a step ended.
        has_begun: whether its worker was seen running.
        idle_since: since when it has no step; None while it has one.
        is_closed: whether it gets no further step.
        is_left: whether its Job ends by itself, or is to be deleted.
        begun_at: time from which each of its steps is known to run.
    """

    founder: Attempt
    shape: str
    cpu_millicores: int
    memory_mib: int
    ends_at: float
    linger_s: float
    members: list[str] = field(default_factory=list)
    moved_at: float = 0.0
    has_begun: bool = False
    idle_since: float | None = None
    is_closed: bool = False
    is_left: bool = False
    begun_at: dict[str, float] = field(default_factory=dict)

    def lose(self, step_key: str, now: float) -> None:
        """Removes a step from the members."""
        if step_key in self.members:
            self.members.remove(step_key)
        self.begun_at.pop(step_key, None)
        if not self.members:
            self.idle_since = now


class Groups:
    """The step groups of one run."""

    def __init__(
        self,
        explanations: Explanations,
        leftovers: Leftovers,
        inventory: Inventory,
        *,
        per_step: Mapping[str, Any] | None,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._explanations, self._leftovers, self._inventory = explanations, leftovers, inventory
        self._per_step, self._clock, self._patience = per_step or {}, clock, patience
        self._groups: dict[tuple[str, str], Group] = {}

    # creation of a group, and joining of a step

    def found(self, attempt: Attempt, config: Mapping[str, Any]) -> None:
        """Makes a group of an attempt's Job if its step is small: the worker then waits after its step."""
        needs, region = cast(Needs, attempt.needs), self._inventory.region(attempt.region)
        if not self._is_small(attempt, needs):
            return
        spec = attempt.job.spec
        arguments = next(one for one in spec.template.spec.containers if one.name == WORKER).args
        at = len(arguments) - len(COMMAND)
        arguments[at:at] = [LINGER, attempt.name, f"{region.cluster.linger_s:g}"]
        lasts_s = spec.active_deadline_seconds + self._patience.group_s
        spec.active_deadline_seconds = round(lasts_s)
        memory_mib = _memory_mib(config)
        self._groups[attempt.region, attempt.name] = Group(
            attempt,
            _shape({**config, STORES: store_config(attempt.step, region, self._inventory.regions)}),
            needs.cpu_millicores,
            memory_mib,
            self._clock.now() + lasts_s,
            region.cluster.linger_s,
            [attempt.step_key],
            self._clock.now(),
        )

    def join(self, context: StepHandlerContext, attempt: Attempt, place: Place) -> bool:
        """Offers an attempt to a worker of a group, if one fits; returns whether it did."""
        needs = cast(Needs, attempt.needs)
        attempt.place = place
        if attempt.number or attempt.move or not self._is_small(attempt, needs):
            return False
        try:
            region = self._inventory.region(place.region)
            hardware = region.kind(place.hardware)
            config = step_config(region, hardware, needs, attempt_memory_factor=place.memory_factor)
            config[STORES] = store_config(attempt.step, region, self._inventory.regions)
        except UsageError:
            return False  # reported when a Job is created for it
        fitting = [one for one in self._groups.values() if self._fits(one, attempt, config)]
        if not fitting:
            return False
        group = min(fitting, key=lambda one: len(one.members))
        founder = group.founder
        attempt.namespace, attempt.name, attempt.is_created = founder.namespace, founder.name, True
        DagsterEvent.step_worker_starting(
            attempt.step,
            message=f'Step "{attempt.step_key}" is offered to the worker of Job {attempt.name}.',
            metadata={"Kubernetes Job name": MetadataValue.text(attempt.name)},
        )
        after = f"after {', '.join(group.members)}" if group.members else "which has no step at present"
        hand_overs.offer(attempt, context.execute_step_args.known_state, after=after)
        if not group.members:
            group.moved_at = self._clock.now()
        group.members.append(attempt.step_key)
        group.idle_since = None
        return True

    def _is_small(self, attempt: Attempt, needs: Needs) -> bool:
        place = cast(Place, attempt.place)
        region = self._inventory.region(place.region)
        cluster = region.cluster
        return (
            cluster.linger_s > 0
            and region.kind(place.hardware).is_cpu
            and needs.hours <= cluster.small_hours
            and needs.cpu_millicores <= cluster.small_cpu_millicores
            and needs.memory_mib * place.memory_factor <= cluster.small_memory_mib
            and attempt.step.step.op_name not in self._per_step
        )

    def _fits(self, group: Group, attempt: Attempt, config: Mapping[str, Any]) -> bool:
        needs, place, now = cast(Needs, attempt.needs), cast(Place, attempt.place), self._clock.now()
        its = cast(Place, group.founder.place)
        is_there = not group.is_closed and (its.region, its.hardware) == (place.region, place.hardware)
        if not is_there or group.shape != _shape(config):
            return False
        if group.idle_since is not None and now - group.idle_since > max(
            group.linger_s - IN_DOUBT_S, group.linger_s / 2
        ):
            return False
        return (
            len(group.members) <= AT_MOST_WAITING
            and needs.cpu_millicores <= group.cpu_millicores
            and _memory_mib(config) <= group.memory_mib
            and now + config["job_spec_config"]["active_deadline_seconds"] <= group.ends_at
        )

    # progress of a group

    def awaits(self, context: StepHandlerContext, attempt: Attempt) -> str:
        """State of an offer: "taken", "waiting", or "withdrawn", after which the step gets a Job of its own."""
        if not attempt.hand_over:
            return "taken"
        instance = context.instance
        states = hand_overs.states_of(instance, attempt)
        if State.GIVEN_BACK in states:
            return self._let_go(attempt)
        if State.TAKEN in states:
            if State.WITHDRAWN not in states or self._has_begun(instance, attempt):
                return "taken"
            return self._let_go(attempt) if self._is_job_over(attempt) else "waiting"  # the worker will return it soon
        if State.WITHDRAWN in states:
            return self._let_go(attempt)
        why = self._why_withdrawn(instance, attempt)
        if not why:
            return "waiting"
        hand_overs.withdraw(attempt, why)
        states = hand_overs.states_of(instance, attempt)
        return "waiting" if State.TAKEN in states and State.GIVEN_BACK not in states else self._let_go(attempt)

    def _let_go(self, attempt: Attempt) -> str:
        group = self._groups.get((attempt.region, attempt.name))
        if group is not None:
            group.lose(attempt.step_key, self._clock.now())
        attempt.hand_over, attempt.is_created, attempt.since = "", False, {}
        return "withdrawn"

    def _why_withdrawn(self, instance: DagsterInstance, attempt: Attempt) -> str:
        """Why an offer without a taker is to be withdrawn; empty while it may still be taken."""
        group = self._groups.get((attempt.region, attempt.name))
        now = self._clock.now()
        if group is None:  # an earlier run pod made the offer
            since = attempt.since.setdefault("offered", now)
            return "no worker took it" if now - since >= self._patience.taken_s else ""
        if group.is_closed:
            return "the pod accepts no further step"
        if not group.has_begun and self._has_begun(instance, group.founder):
            group.has_begun, group.moved_at = True, now
        waits_s = now - max(group.moved_at, attempt.since.setdefault("offered", now))
        if waits_s < (self._patience.taken_s if group.has_begun else self._patience.group_start_s):
            if self._is_job_over(attempt):
                group.is_closed = True
                return "the pod has ended"
            return ""
        if group.members[0] == attempt.step_key:
            group.is_closed = True
            return f"its worker did not take it within {self._patience.taken_s:g} s"
        return f"the steps before it take long ({waits_s:.0f} s)"

    def _has_begun(self, instance: DagsterInstance, attempt: Attempt) -> bool:
        return verdict(instance, attempt.run_id, attempt.step_key, attempt=attempt.number).has_begun

    def _is_job_over(self, attempt: Attempt) -> bool:
        try:
            seen = self._explanations.look(attempt)
        except ClusterError:
            return False
        finally:
            attempt.disturbed = None  # this concerns the worker, not a step that has not begun
        return seen is None or seen.is_finished

    def overdue(self, context: StepHandlerContext, attempt: Attempt) -> Ending | None:
        """The ending of a step that exceeds the deadline of its own needs; the group's Job has a longer one."""
        group = self._groups.get((attempt.region, attempt.name))
        if group is None or not self._has_begun(context.instance, attempt):
            return None
        since = group.begun_at.setdefault(attempt.step_key, self._clock.now())
        limit_s = deadline_s(cast(Needs, attempt.needs))
        if self._clock.now() - since < limit_s:
            return None
        return Ending(DEADLINE_EXCEEDED, f"it has been running in Job {attempt.name} for {limit_s} s")

    def ended(self, attempt: Attempt, event: DagsterEvent) -> bool:
        """Handles the final event of an attempt; returns whether its Job stays, for other steps or for a while."""
        group = self._groups.get((attempt.region, attempt.name))
        if group is None or attempt.step_key not in group.members:
            return False
        now = self._clock.now()
        group.lose(attempt.step_key, now)
        group.moved_at, group.has_begun = now, True
        if event.event_type is DagsterEventType.STEP_SUCCESS and (group.members or not group.is_closed):
            return True
        group.is_closed = group.is_left = True
        return False

    def close(self, attempt: Attempt) -> None:
        """Closes the group of an attempt whose pod is to be deleted: it gets no further step."""
        group = self._groups.get((attempt.region, attempt.name))
        if group is not None:
            group.is_closed = group.is_left = True
            group.lose(attempt.step_key, self._clock.now())

    def recall(self, attempt: Attempt) -> None:
        """Takes over an attempt of an earlier run pod; its Job gets no new steps, but may execute others."""
        key = (attempt.region, attempt.name)
        group = self._groups.setdefault(
            key, Group(attempt, "", 0, 0, 0.0, 0.0, moved_at=self._clock.now(), has_begun=True, is_closed=True)
        )
        group.members.append(attempt.step_key)

    def clean(self, *, now: bool = False) -> None:
        """Lets Jobs end whose workers have waited long enough."""
        for key, group in list(self._groups.items()):
            if group.idle_since is None:
                continue
            if now or group.is_closed or self._clock.now() - group.idle_since >= group.linger_s:
                del self._groups[key]
                if not group.is_left:
                    self._leftovers.leave(group.founder)

    def finish(self, plan: PlanOrchestrationContext) -> None:
        """Signals the waiting workers that there are no more steps."""
        if plan.resume_from_failure or any(group.idle_since is not None for group in self._groups.values()):
            hand_overs.end_groups(plan)
        self.clean(now=True)


def _shape(config: Mapping[str, Any]) -> str:
    """The properties that two pods must share: all but amounts and deadline, which are compared separately."""
    container = {name: value for name, value in config["container_config"].items() if name != "resources"}
    rest = {name: value for name, value in config.items() if name not in ("container_config", "job_spec_config")}
    return json.dumps({**rest, "container_config": container}, sort_keys=True, default=str)


def _memory_mib(config: Mapping[str, Any]) -> int:
    return int(config["container_config"]["resources"]["limits"]["memory"].removesuffix("Mi"))
