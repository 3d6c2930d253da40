"""What the log says of a hand-over, and how much of the log is read for it."""

from dagster import DagsterInstance, MetadataValue
from dagster._core.events import EngineEventData
from dagster._core.test_utils import create_run_for_test

from resources.router.attempts import Attempt
from resources.router.hand_overs import ID, STATE, State, states_of

OFFER = "0123456789abcdef"


def test_the_log_is_read_from_the_offer_on_once_that_was_found(monkeypatch):
    with DagsterInstance.ephemeral() as instance:
        run = create_run_for_test(instance, "walk")

        def note(**values):
            metadata = {name: MetadataValue.text(value) for name, value in values.items()}
            instance.report_engine_event("noted", run, EngineEventData(metadata=metadata))

        counts = []
        records_of = instance.get_records_for_run

        def counted(*args):
            page = records_of(*args)
            counts.append(len(page.records))
            return page

        monkeypatch.setattr(instance, "get_records_for_run", counted)
        for _ in range(20):
            note(of="another step")
        note(**{ID: OFFER, STATE: State.OFFERED.value})
        attempt = Attempt("step", 0, None, run.run_id, hand_over=OFFER)  # no step's context is asked for here
        assert states_of(instance, attempt) == {State.OFFERED}
        note(**{ID: OFFER, STATE: State.TAKEN.value})
        note(**{ID: "another", STATE: State.WITHDRAWN.value})
        assert states_of(instance, attempt) == {State.OFFERED, State.TAKEN}
        assert counts == [21, 3]
