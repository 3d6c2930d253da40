"""Whatever befalls the clusters, a run ends: every asset once or a failure with a name, and no Job left behind.

A seed that fails here is replayed by `simulations.simulation(seed).run()`.
"""

from dataclasses import replace
from functools import partial

import pytest
from dagster import DagsterEvent, DagsterEventType
from dagster._core.execution.plan.objects import StepRetryData
from dagster._utils.error import SerializableErrorInfo

from tests.clusters.faults import FAULTS
from tests.clusters.server import WORDS, Trouble

FAST = range(2)
KNOWN = [  # each of these fails when the part of the router that it is about is taken out
    # found: a worker that is told to end says only that, and its cluster was not asked for the reason
    (0, ("drain", "replaced_pod", "slow_watch", "cancel")),
    (4, ("suspension", "eviction")),
    # found: the same in a Job whose creation nobody had confirmed
    (342, ("region_lost", "lost_node", "lost_job", "hang")),
    # found: a run pod that takes over waited anew for each retry, and broke off at the next event (so does Dagster's)
    (61, ("no_image", "lost_run_pod", "lost_node", "eviction")),
    (115, ("eviction", "preemption", "hang", "lost_run_pod")),
    # a Job completes without a word of its step, as of a replaced pod (dagster #33755): the run would wait for ever
    (3, ("silent_worker", "lost_run_pod", "eviction")),
    (23, ("silent_worker",)),
    # a Job that its queue had suspended would stay in the queue when its step is tried again
    (88, ("hung_worker", "silent_worker", "no_image", "suspension")),
    (113, ("region_lost", "suspension")),
    # a Job would be left to itself as soon as its step is through
    (12, ("drain", "no_image")),
]
SAMPLE = range(2, 14)  # `make soak` has five hundred more


@pytest.mark.slow
@pytest.mark.parametrize("seed", FAST)
def test_a_run_under_faults_ends_as_it_should(simulations, seed):
    ended = simulations.simulation(seed).run()
    assert ended.complaints() == []


@pytest.mark.slow
def test_a_job_that_was_suspended_as_its_step_ended_is_deleted(simulations):
    ended = simulations.simulation(131).run()
    assert "suspension" in ended.faults  # the queue suspends the Job of a step whose success is in the log
    assert ended.complaints() == []


@pytest.mark.slow
def test_more_runs_end_as_they_should(simulations):
    complaints = {}
    for seed in SAMPLE:
        simulation = simulations.simulation(seed)
        if found := simulation.run().complaints():
            complaints[seed] = (simulation.faults, found)
    assert complaints == {}


@pytest.mark.parametrize(
    ("seed", "faults"), [KNOWN[0], *(pytest.param(*one, marks=pytest.mark.slow) for one in KNOWN[1:])]
)
def test_what_once_went_wrong_goes_well(simulations, seed, faults):
    assert simulations.simulation(seed, faults=faults).run().complaints() == []


def test_a_job_that_is_made_after_its_run_was_canceled_is_deleted_all_the_same(simulations):
    simulation = simulations.simulation(20_001, faults=("cancel",))
    simulation.due.clear()
    simulation.disturb("EAST", "late", lasts_s=12)  # the first creation takes effect 50 s later, without an answer
    simulation.at("canceled", simulation.cancel, after_s=20)
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("CANCELED", [])
    assert simulation.clusters["EAST"].made == simulation.clusters["EAST"].deleted != []


@pytest.mark.slow
def test_a_step_at_work_in_a_job_that_nobody_confirmed_is_not_begun_a_second_time(simulations):
    simulation = simulations.simulation(20_002, faults=())
    simulation.takes_s = 200
    simulation.disturb("EAST", "unanswered", lasts_s=150)  # longer than the router tries to launch
    ended = simulation.run()
    assert (ended.status, ended.complaints(), ended.causes) == ("SUCCESS", [], {})
    assert simulation.done == dict.fromkeys(ended.places, 1)


@pytest.mark.slow
def test_a_last_word_that_comes_twice_does_not_break_off_the_run(simulations):
    simulation = simulations.simulation(20_003, faults=())
    simulation.takes_s = 60
    retry = DagsterEvent(
        DagsterEventType.STEP_UP_FOR_RETRY.value,
        "__ASSET_JOB",
        step_key="readings",
        event_specific_data=StepRetryData(SerializableErrorInfo("late", [], None)),
    )
    late = partial(simulations.instance.report_dagster_event, retry, simulation.run_id)
    simulation.at("a word of a worker that was given up", late, after_s=100)  # readings has ended by then
    ended = simulation.run()
    assert (ended.status, ended.late) == ("SUCCESS", ["STEP_UP_FOR_RETRY of readings"])  # written by this test alone
    assert replace(ended, late=[]).complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize("joined_after", [12, 22, 28])
def test_a_run_pod_that_works_on_beside_the_one_that_took_over_makes_no_step_twice(simulations, joined_after):
    simulation = simulations.simulation(20_004, faults=())
    simulation.takes_s, simulation.joined_after, simulation.may_resume = 60, joined_after, True
    ended = simulation.run()
    assert (ended.status, ended.complaints(), ended.failures) == ("SUCCESS", [], {})
    assert simulation.done == dict.fromkeys(simulation.steps, 1)


@pytest.mark.slow
def test_a_quota_of_jobs_is_waited_for_and_named_as_a_quota(simulations, monkeypatch):
    words = 'jobs.batch "step" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, limited: 9'
    monkeypatch.setitem(WORDS, 403, ("Forbidden", words))
    simulation = simulations.simulation(20_006, faults=())

    def gate(region, method, path):
        return Trouble(status=403) if (region, method) == ("NULL_ISLAND", "POST") else None

    monkeypatch.setattr(simulation, "_gate", gate)
    ended = simulation.run()
    assert (ended.status, set(ended.causes["report"])) == ("FAILURE", {"QuotaExceeded"})
    assert "exceeded quota: small" in ended.failures["report"]
    assert len(ended.materialized) == 4  # its neighbours went on


def test_a_region_that_is_lost_before_its_step_began_is_left_for_another(simulations):
    simulation = simulations.simulation(20_004, faults=())
    simulation.takes_s = 60
    simulation.at("EAST lost", partial(simulation.disturb, "EAST", "lost", lasts_s=20_000), after_s=142)
    ended = simulation.run()
    assert ended.places["model"] == ["EAST/nvidia-h100", "WEST/nvidia-a100"]
    assert (ended.status, ended.complaints()) == ("SUCCESS", [])


@pytest.mark.parametrize(
    ("what", "words", "reason", "times"),
    [
        (
            "refuses_pods",
            'Error creating: pods "a-1" is forbidden: serviceaccount "b" not found',
            "NoServiceAccount",
            1,
        ),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (
                ("refuses_pods", 'Error creating: pods "a-1" is forbidden: exceeded quota: small', "QuotaExceeded", 5),
                ("mount", 'MountVolume.SetUp failed for volume "a" : configmap "b" not found', "NoVolume", 1),
                ("stuck", 'CreateContainerConfigError: secret "b" not found', "NoConfig", 1),
                ("stuck", "CreateContainerError: failed to create containerd task", "NoContainer", 5),
            )
        ),
    ],
)
def test_a_job_that_can_never_begin_ends_within_minutes_with_the_clusters_words(
    simulations, what, words, reason, times
):
    simulation = simulations.simulation(20_005, faults=())
    setattr(simulation.clusters["NULL_ISLAND"], what, words)
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("FAILURE", [])
    assert ended.causes == {"report": [reason] * times}
    assert words.partition(": ")[2] in ended.failures["report"]
    assert len(ended.materialized) == 4  # its neighbours went on


@pytest.mark.slow
def test_a_worker_without_a_word_beside_a_proxy_that_lives_on_is_tried_again(simulations):
    simulation = simulations.simulation(20_006, faults=())
    simulation.clusters["NULL_ISLAND"].beside = {"istio-proxy": None}
    simulation.afflicted.add(("report", "silent_worker"))
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("SUCCESS", [])
    assert ended.causes == {"report": ["NoVerdict"]}


@pytest.mark.parametrize("after_s", [75, *(pytest.param(one, marks=pytest.mark.slow) for one in (3, 200))])
@pytest.mark.parametrize(
    "faults",
    [(), *(pytest.param(one, marks=pytest.mark.slow) for one in (("preemption", "suspension"), ("hang", "lost_pod")))],
)
def test_another_run_pod_goes_on_where_one_was_killed(simulations, after_s, faults):
    simulation = simulations.simulation(21_000 + after_s, faults=faults)
    simulation.dies_after_s, simulation.takes_s = after_s, 40
    ended = simulation.run()
    assert ended.complaints() == []
    assert max(simulation.done.values()) == 1


@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=() if n % 8 == 0 else pytest.mark.slow) for n, one in enumerate(FAULTS)]
)
def test_each_fault_alone_is_survived_or_named(simulations, fault):
    assert simulations.simulation(10_000, faults=(fault,)).run().complaints() == []


def test_without_faults_every_step_runs_once_in_its_region(simulations):
    simulation = simulations.simulation(20_000, faults=())
    ended = simulation.run()
    assert ended.complaints() == []
    assert ended.status == "SUCCESS"
    assert ended.places == {
        "readings": ["EAST/cpu"],
        "features": ["EAST/cpu"],
        "model": ["EAST/nvidia-h100"],
        "small_model": ["WEST/nvidia-t4"],
        "report": ["NULL_ISLAND/cpu"],
    }
    assert {name: len(cluster.made) for name, cluster in simulation.clusters.items()} == {
        "EAST": 3,
        "WEST": 1,
        "NULL_ISLAND": 1,
    }


@pytest.mark.slow
def test_a_seed_gives_the_same_run_again(simulations):
    seed, faults = 30_000, ("preemption", "hang", "oom", "slow_watch")
    first = simulations.simulation(seed, faults=faults)
    once = first.run()
    second = simulations.simulation(seed, faults=faults)
    again = second.run()
    assert (once, first.trace) == (again, second.trace)
