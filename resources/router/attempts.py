"""One attempt of a step: what the router remembers of it, writes of it into the event log, and reads there again.

The log and the cluster are the truth; a run pod that takes over a run begins with the log alone.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, MetadataValue
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import IStepContext
from dagster._core.executor.step_delegating import StepHandlerContext

from resources import markdown
from resources.placement import HARDWARE_TAG, NEEDS_TAG, REGION_TAG
from resources.router.endings import REASONS, Ending
from resources.router.places import Place
from sinet_pipelines.markdown import code_block
from sinet_pipelines.placement.needs import Needs


@dataclass
class Attempt:
    """One attempt of a step and how far it came.

    Attributes:
        step_key: the step.
        number: 0 is the first.
        step: to which events are told.
        run_id: of its run.
        place: where it goes; None for what goes nowhere.
        needs: what it needs.
        job: the Job to be made.
        namespace: of the Job.
        name: of the Job.
        move: how often it moved before it began.
        is_created: the cluster has confirmed the Job.
        is_local: it is a process beside the run.
        may_appear_until: a creation without an answer may bring the Job about until then.
        since: since when what has lasted that is waited for.
        ending: how it ended.
        is_told: that is in the log.
        disturbed: what the cluster was seen to do to it; the pod that shows it may be gone when it ends.
        is_interrupted: its worker ended on being told to, and will write no more.
        hand_over: by which it was offered to a worker at work already; empty where its Job is made for it.
        offer_id: the number in the log of the event that offers it; 0 until it was found.
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
    is_told: bool = False
    disturbed: Ending | None = None
    is_interrupted: bool = False
    hand_over: str = ""
    offer_id: int = 0

    @property
    def region(self) -> str:
        """The region it goes to."""
        return cast(Place, self.place).region


def attempt_of(context: StepHandlerContext) -> Attempt:
    """The attempt that the executor is about, as yet without a place."""
    args = context.execute_step_args
    (step_key,) = cast("list[str]", args.step_keys_to_execute)
    known = args.known_state
    number = known.get_retry_state().get_attempt_count(step_key) if known else 0
    return Attempt(step_key, number, context.get_step_context(step_key), args.run_id)


def home_of(context: StepHandlerContext, step_key: str) -> tuple[str, str]:
    """Region and hardware that a step is bound to."""
    tags = context.step_tags[step_key]
    return tags[REGION_TAG], tags[HARDWARE_TAG]


def tell_place(attempt: Attempt) -> None:
    """Notes in the log where an attempt goes."""
    place = cast(Place, attempt.place)
    more = f", memory x{place.memory_factor:g}" if place.memory_factor != 1 else ""
    message = f"Attempt {attempt.number + 1} goes to {place.region} on {place.hardware}{more}: Job {attempt.name}"
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=place_metadata(attempt)))


def place_metadata(attempt: Attempt) -> dict[str, MetadataValue]:
    """Where an attempt goes, as `recalled` and `noted` read it."""
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


def tell_ending(attempt: Attempt, ending: Ending) -> None:
    """Notes in the log how an attempt ended."""
    where = f" in {attempt.place.region} on {attempt.place.hardware}" if attempt.place else ""
    message = f"Attempt {attempt.number + 1}{where} ended. {ending}"
    DagsterEvent.engine_event(attempt.step, message, EngineEventData(metadata=metadata_of(attempt, ending)))


def metadata_of(attempt: Attempt, ending: Ending) -> dict[str, MetadataValue]:
    """What a failure's page shows beside its words: the reason, the place, the Job, the last lines."""
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
    """The attempt as an earlier run pod noted it in the log, if it did, and how the attempts before it ended."""
    attempt, endings, found = attempt_of(context), [], False
    for entry in context.instance.all_logs(attempt.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is None or event.step_key != attempt.step_key:
            continue
        said: dict[str, Any] = {name: one.value for name, one in event.engine_event_data.metadata.items()}
        if "ending" in said:
            endings.append(Ending(REASONS[said["ending"]], said["found"]))
        if "job" in said and said["attempt"] == attempt.number:
            attempt.place = Place(said["region"], said["hardware"], said["memory_factor"])
            attempt.namespace, attempt.name, attempt.move = said["namespace"], said["job"], said["move"]
            attempt.hand_over = said.get("hand_over", "")
            attempt.is_created = found = True
    if not found:
        return None, endings
    attempt.needs = Needs.from_json(context.step_tags[attempt.step_key][NEEDS_TAG])
    return attempt, endings


def noted(instance: DagsterInstance, run_id: str) -> list[Attempt]:
    """Every Job that the log of a run notes, as an attempt that was created; what an earlier run pod left is there."""
    found = []
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        said: dict[str, Any] = {name: one.value for name, one in event.engine_event_data.metadata.items()}
        if "job" in said:
            place = Place(said["region"], said["hardware"], said["memory_factor"])
            attempt = Attempt(event.step_key, said["attempt"], cast(IStepContext, None), run_id, place, is_created=True)
            attempt.namespace, attempt.name = said["namespace"], said["job"]
            found.append(attempt)
    return found
