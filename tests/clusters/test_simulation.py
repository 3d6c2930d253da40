"""Whatever befalls the clusters, a run ends: every asset once or a failure with a name, and no Job left behind.

A seed that fails here is replayed by `simulations.simulation(seed).run()`.
"""

import pytest

from tests.clusters.simulation import FAULTS

FAST = range(40)
ALL = range(40, 540)
CHUNK = 20


@pytest.mark.parametrize("seed", FAST)
def test_a_run_under_faults_ends_as_it_should(simulations, seed):
    ended = simulations.simulation(seed).run()
    assert ended.complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(ALL.start, ALL.stop, CHUNK))
def test_five_hundred_more_runs_end_as_they_should(simulations, first):
    complaints = {}
    for seed in range(first, first + CHUNK):
        simulation = simulations.simulation(seed)
        if said := simulation.run().complaints():
            complaints[seed] = (simulation.faults, said)
        simulations.instance.delete_run(simulation.run_id)
    assert complaints == {}


@pytest.mark.parametrize("fault", FAULTS)
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


def test_a_seed_gives_the_same_run_again(simulations):
    seed, faults = 30_000, ("preemption", "hang", "oom", "slow_watch")
    first = simulations.simulation(seed, faults=faults)
    once = first.run()
    simulations.instance.delete_run(first.run_id)
    second = simulations.simulation(seed, faults=faults)
    again = second.run()
    simulations.instance.delete_run(second.run_id)
    assert (once, first.trace) == (again, second.trace)
