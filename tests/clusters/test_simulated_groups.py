"""Whatever befalls a pod that executes several steps: each step runs once or fails with a name of its own.

A seed that fails here is replayed by `small_steps.simulation(seed).run()`.
"""

from functools import partial

import pytest
from dagster import DagsterEventType

from resources.router.hand_overs import STATE, State
from tests.inventory import get_region

pytestmark = pytest.mark.slow  # each simulates whole runs

FAST = range(4)
SAMPLE = range(4, 14)  # `make soak` has five hundred more


def offers(shared, simulation):
    """The offers in the event log, with their step, in order."""
    entries = shared.instance.all_logs(simulation.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    found = [(entry.dagster_event.step_key, entry.dagster_event.engine_event_data.metadata) for entry in entries]
    return [(step, metadata[STATE].value) for step, metadata in found if STATE in metadata]


def of(simulation, region):
    """The pods of a region that are at work."""
    return [pod for pod in simulation.clusters[region].pods.values() if pod.phase == "Running"]


@pytest.mark.parametrize("seed", FAST)
def test_a_run_of_small_steps_under_faults_ends_as_it_should(small_steps, seed):
    ended = small_steps.simulation(seed).run()
    assert ended.complaints() == []


def test_more_runs_of_small_steps_end_as_they_should(small_steps):
    complaints = {}
    for seed in SAMPLE:
        simulation = small_steps.simulation(seed)
        if found := simulation.run().complaints():
            complaints[seed] = (simulation.faults, found)
    assert complaints == {}


def test_a_pod_executes_what_follows_and_what_is_ready_beside_it(small_steps):
    simulation = small_steps.simulation(40_000, faults=())
    simulation.takes_s = 5
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("SUCCESS", [])
    assert simulation.done == dict.fromkeys(simulation.steps, 1)
    assert {step for step, state in offers(small_steps, simulation) if state == State.TAKEN} >= {
        "cleaned",
        "digest",
    }
    assert len(simulation.clusters["WEST"].made) == 1
    assert sum(len(cluster.made) for cluster in simulation.clusters.values()) < len(simulation.steps)


def test_where_the_region_wants_it_each_step_has_a_pod(small_steps, monkeypatch):
    simulation = small_steps.simulation(40_001, faults=())
    for region in ("EAST", "WEST"):
        monkeypatch.setitem(get_region(region).cluster.__dict__, "linger_s", 0)
    ended = simulation.run()
    assert (ended.status, offers(small_steps, simulation)) == ("SUCCESS", [])
    assert sum(len(cluster.made) for cluster in simulation.clusters.values()) == len(simulation.steps)


@pytest.mark.parametrize("reason", ["", "PreemptionByScheduler"])
def test_a_pod_that_is_lost_in_its_second_step_ends_that_one_alone_and_the_next_attempt_has_another_pod(
    small_steps, reason
):
    simulation = small_steps.simulation(40_002, faults=())
    simulation.takes_s = 60

    def lose():
        (pod,) = of(simulation, "EAST")
        simulation.clusters["EAST"].disrupt(pod, reason, is_hard=True)

    simulation.at("a pod is lost", lose, after_s=110)  # `cleaned` is at work
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("SUCCESS", [])
    assert list(ended.causes) == ["cleaned"]
    assert simulation.done == dict.fromkeys(simulation.steps, 1)
    first, second = simulation.clusters["EAST"].made[:2]
    assert first != second
    assert [step for step, _ in offers(small_steps, simulation)].count("cleaned") == 2  # offered and taken, once


def test_steps_that_wait_behind_a_long_one_get_a_pod_of_their_own(small_steps):
    simulation = small_steps.simulation(40_003, faults=())
    simulation.takes_s = 300
    ended = simulation.run()
    assert (ended.status, ended.complaints(), ended.causes) == ("SUCCESS", [], {})
    withdrawn = {step for step, state in offers(small_steps, simulation) if state == State.WITHDRAWN}
    assert withdrawn & {"windows", "profile"}
    assert simulation.done == dict.fromkeys(simulation.steps, 1)


@pytest.mark.parametrize("after_s", [60, 105, 170])
def test_a_run_pod_that_takes_over_knows_what_was_offered_and_taken(small_steps, after_s):
    simulation = small_steps.simulation(41_000 + after_s, faults=())
    simulation.dies_after_s, simulation.takes_s = after_s, 40
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("SUCCESS", [])
    assert simulation.done == dict.fromkeys(simulation.steps, 1)


@pytest.mark.parametrize("after_s", [60, 95])
def test_a_canceled_run_leaves_no_pod_that_waits_for_a_step(small_steps, after_s):
    simulation = small_steps.simulation(42_000, faults=("cancel",))
    simulation.due.clear()
    simulation.takes_s = 40
    simulation.at("canceled", simulation.cancel, after_s=after_s)
    ended = simulation.run()
    assert (ended.status, ended.complaints(), ended.dangling) == ("CANCELED", [], [])


def test_a_step_that_hangs_in_a_group_ends_by_its_own_deadline(small_steps):
    simulation = small_steps.simulation(40_004, faults=())
    simulation.takes_s = 20
    simulation.afflicted.add(("cleaned", "hung_worker"))
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("FAILURE", [])
    assert ended.causes["cleaned"] == ["DeadlineExceeded"]
    assert ended.took_s < 1500


def test_a_region_that_does_not_answer_while_a_pod_works_on_its_second_step_loses_nothing(small_steps):
    simulation = small_steps.simulation(40_005, faults=())
    simulation.takes_s = 60
    simulation.at("EAST silent", partial(simulation.disturb, "EAST", "lost", lasts_s=150), after_s=105)
    ended = simulation.run()
    assert (ended.status, ended.complaints(), ended.causes) == ("SUCCESS", [], {})
    assert simulation.done == dict.fromkeys(simulation.steps, 1)
