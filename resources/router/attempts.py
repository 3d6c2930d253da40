"""One attempt of a step: its state in the router, and how that state is written to the event log and read back.

The event log and the cluster are the truth; a run pod that takes over a run starts from the event log alone.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, MetadataValue

from resources import markdown
from resources.dagster_private import EngineEventData, IStepContext, StepHandlerContext
from resources.placement import HARDWARE_TAG, NEEDS_TAG, REGION_TAG
from resources.router.endings import REASONS, Ending
from resources.router.places import Place
from sinet_pipelines.markdown import code_block
from sinet_pipelines.placement.needs import Needs


@dataclass
class Attempt:
    """One attempt of a step and its progress.

    Attributes:
        step_key: the step.
        number: 0 is the first.
        step: the context that writes its events.
        run_id: id of its run.
        place: region and hardware it goes to; None for a step without a region.
        needs: the needs of its asset.
        job: the Job to create.
        namespace: of the Job.
        name: of the Job.
        move: how often it moved to another place before it began.
        is_created: whether the cluster has confirmed the Job.
        is_local: whether it is a process beside the run.
        may_appear_until: time until which an unconfirmed creation may still create the Job.
        since: for each waiting condition, the time at which it began.
        ending: how it ended.
        is_recorded: whether the event log has that ending.
        disturbed: what the cluster did to it; kept, since the pod that shows it may be gone when the attempt ends.
        is_interrupted: whether its worker ended after SIGTERM; it then writes no more events.
        hand_over: id of its offer to a running worker; empty where it has a Job of its own.
        offer_id: storage id of the event of that offer; 0 until it was found.
    """

    step_key: str
    number: int
    step: IStepContext
    run_id: str
    place: Place | None = None
    needs: Needs | None = None
    job: Any = None
    namespace: str = ""
    name: str = ""
    move: int = 0
    is_created: bool = False
    is_local: bool = False
    may_appear_until: float = 0.0
    since: dict[str, float] = field(default_factory=dict)
    ending: Ending | None = None
    is_recorded: bool = False
    disturbed: Ending | None = None
    is_interrupted: bool = False
    hand_over: str = ""
    offer_id: int = 0

    @property
    def region(self) -> str:
        """The region it goes to."""
        return cast(Place, self.place).region


def attempt_of(context: StepHandlerContext) -> Attempt:
    """The attempt of the executor's context, without a place yet."""
    args = context.execute_step_args
    (step_key,) = cast("list[str]", args.step_keys_to_execute)
    known = args.known_state
    number = known.get_retry_state().get_attempt_count(step_key) if known else 0
    return Attempt(step_key, number, context.get_step_context(step_key), args.run_id)


def home_of(context: StepHandlerContext, step_key: str) -> tuple[str, str]:
    """Region and hardware that a step is bound to."""
    tags = context.step_tags[step_key]
    return tags[REGION_TAG], tags[HARDWARE_TAG]


def record_place(attempt: Attempt) -> None:
    """Records in the event log where an attempt goes."""
    place = cast(Place, attempt.place)
    more = f", memory x{place.memory_factor:g}" if place.memory_factor != 1 else ""
    message = f"Attempt {attempt.number + 1} goes to {place.region} on {place.hardware}{more}: Job {attempt.name}"
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=place_metadata(attempt)))


def place_metadata(attempt: Attempt) -> dict[str, MetadataValue]:
    """The place of an attempt as metadata, which `recalled` and `noted` read."""
    place = cast(Place, attempt.place)
    return {
        "region": MetadataValue.text(place.region),
        "hardware": MetadataValue.text(place.hardware),
        "memory_factor": MetadataValue.float(float(place.memory_factor)),
        "namespace": MetadataValue.text(attempt.namespace),
        "job": MetadataValue.text(attempt.name),
        "attempt": MetadataValue.int(attempt.number),
        "move": MetadataValue.int(attempt.move),
    }


def record_ending(attempt: Attempt, ending: Ending) -> None:
    """Records in the event log how an attempt ended."""
    where = f" in {attempt.place.region} on {attempt.place.hardware}" if attempt.place else ""
    message = f"Attempt {attempt.number + 1}{where} ended. {ending}"
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=metadata_of(attempt, ending)))


def metadata_of(attempt: Attempt, ending: Ending) -> dict[str, MetadataValue]:
    """Metadata of a failure beside its message: reason, place, Job, last lines of its log."""
    shown: dict[str, Any] = {
        "ending": MetadataValue.text(ending.reason.name),
        "found": MetadataValue.text(ending.message),
        "cure": MetadataValue.text(ending.reason.cure),
    }
    if attempt.place is not None:
        shown |= {
            "region": MetadataValue.text(attempt.place.region),
            "hardware": MetadataValue.text(attempt.place.hardware),
            "Kubernetes Job": MetadataValue.text(f"{attempt.namespace}/{attempt.name}"),
        }
    if ending.log:
        shown["last lines"] = markdown.shown(code_block(ending.log))
    return shown


def recalled(context: StepHandlerContext) -> tuple[Attempt | None, list[Ending]]:
    """The attempt as an earlier run pod recorded it in the event log, or None, and the endings of earlier attempts."""
    attempt, endings, found = attempt_of(context), [], False
    for entry in context.instance.all_logs(attempt.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is None or event.step_key != attempt.step_key:
            continue
        entries: dict[str, Any] = {name: one.value for name, one in event.engine_event_data.metadata.items()}
        if "ending" in entries:
            endings.append(Ending(REASONS[entries["ending"]], entries["found"]))
        if "job" in entries and entries["attempt"] == attempt.number:
            attempt.place = Place(entries["region"], entries["hardware"], entries["memory_factor"])
            attempt.namespace, attempt.name, attempt.move = entries["namespace"], entries["job"], entries["move"]
            attempt.hand_over = entries.get("hand_over", "")
            attempt.is_created = found = True
    if not found:
        return None, endings
    attempt.needs = Needs.from_json(context.step_tags[attempt.step_key][NEEDS_TAG])
    return attempt, endings


def noted(instance: DagsterInstance, run_id: str) -> list[Attempt]:
    """Every Job that the event log of a run records, as a created attempt: what an earlier run pod left."""
    found = []
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        entries: dict[str, Any] = {name: one.value for name, one in event.engine_event_data.metadata.items()}
        if "job" in entries:
            place = Place(entries["region"], entries["hardware"], entries["memory_factor"])
            attempt = Attempt(
                event.step_key, entries["attempt"], cast(IStepContext, None), run_id, place, is_created=True
            )
            attempt.namespace, attempt.name = entries["namespace"], entries["job"]
            found.append(attempt)
    return found
