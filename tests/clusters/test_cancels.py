"""A run that is canceled leaves no Job and writes no more, whether run pods are replaced or not, and at any moment.

A run pod that is only lost leaves its steps at work for the next one.
"""

import pytest

pytestmark = pytest.mark.slow  # each cancels at many moments

MOMENTS_S = (0, 3, 9, 40, 75, 120, 170, 230)  # before the first launch, while a Job is made, pending, at work, later


@pytest.mark.parametrize("may_resume", [False, True])
@pytest.mark.parametrize("after_s", MOMENTS_S)
def test_a_canceled_run_leaves_no_job_and_no_late_word(simulations, after_s, may_resume):
    simulation = canceled(simulations, 40_000 + after_s, after_s=after_s, may_resume=may_resume)
    simulation.takes_s = 60
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("CANCELED", [])
    assert unfinished(simulation) == []


@pytest.mark.parametrize("fault", ["no_nodes", "preemption", "hang", "suspension"])
@pytest.mark.parametrize("after_s", [60, 200])
def test_a_canceled_run_under_faults_leaves_no_job(simulations, fault, after_s):
    simulation = canceled(simulations, 41_000 + after_s, after_s=after_s, may_resume=True, faults=(fault,))
    ended = simulation.run()
    assert ended.complaints() == []
    assert unfinished(simulation) == []


@pytest.mark.parametrize("after_s", [1, 5, 40])
def test_a_run_that_is_canceled_while_another_run_pod_takes_it_over_leaves_no_job(simulations, after_s):
    simulation = canceled(simulations, 42_000, after_s=100 + after_s, may_resume=True)
    simulation.drained_after_s, simulation.takes_s = 98, 300  # readings is at work
    ended = simulation.run()
    assert (ended.status, ended.complaints()) == ("CANCELED", [])
    assert simulation.clusters["EAST"].made == simulation.clusters["EAST"].deleted != []


@pytest.mark.parametrize("after_s", [3, 75, 200])
def test_a_run_pod_that_is_drained_leaves_its_steps_at_work_for_the_next_one(simulations, after_s):
    simulation = simulations.simulation(43_000 + after_s, faults=())
    simulation.drained_after_s, simulation.takes_s = after_s, 40
    ended = simulation.run()
    assert (ended.status, ended.complaints(), ended.causes) == ("SUCCESS", [], {})
    assert set(simulation.done.values()) == {1}
    assert sum(len(cluster.made) for cluster in simulation.clusters.values()) == 5


def test_a_run_that_is_ended_from_outside_ends_its_steps_and_tries_none_again(simulations):
    simulation = simulations.simulation(44_000, faults=())
    simulation.takes_s = 300
    fail = lambda: simulation.instance.report_run_failed(simulation.instance.get_run_by_id(simulation.run_id))  # noqa: E731
    simulation.at("failed by run monitoring", fail, after_s=100)
    ended = simulation.run()
    assert (ended.status, ended.causes, ended.took_s < 200) == ("FAILURE", {}, True)
    assert unfinished(simulation) == []


def canceled(simulations, seed, *, after_s, may_resume, faults=()):
    """A simulation of a run that somebody cancels so many seconds after its begin."""
    simulation = simulations.simulation(seed, faults=(*faults, "cancel"))
    simulation.due = [one for one in simulation.due if one[1] != "canceled"]
    simulation.may_resume = may_resume
    simulation.at("canceled", simulation.cancel, after_s=after_s)
    return simulation


def unfinished(simulation):
    """Jobs that are left and may still come to something."""
    return [
        job.name for cluster in simulation.clusters.values() for job in cluster.jobs.values() if not job.is_finished
    ]
