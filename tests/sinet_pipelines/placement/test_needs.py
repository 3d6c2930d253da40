"""What a step needs: typed, so that no quantity that is none reaches a cluster, and the same after a tag carried it."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinet_pipelines.errors import NeedsError
from sinet_pipelines.placement.needs import Needs

MANY = Needs(
    cpu_millicores=8000,
    memory_mib=65536,
    count=8,
    hours=12.5,
    latest_finish=time(6, 30),
    is_preemptible=True,
    priority="high",
    may_move_to=(("EAST", "nvidia-a100"), ("WEST", "nvidia-a100")),
    storage=("object-store", "local-nvme"),
    scratch_gib=200,
)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"memory_mib": "2Gi"}, "memory_mib is '2Gi'; allowed is a whole number of 0 or more"),
        ({"count": "abc"}, "count is 'abc'"),
        ({"count": True}, "count is True"),
        ({"count": -1}, "count is -1"),
        ({"cpu_millicores": 0.5}, "cpu_millicores is 0.5"),
        ({"cpu_millicores": 0}, "cpu_millicores is 0; allowed is 1 or more"),
        ({"hours": float("nan")}, "hours is nan"),
        ({"hours": 0}, "hours is 0; allowed is more than 0"),
        ({"memory_growth": 0.5}, "memory_growth is 0.5; allowed is 1 or more"),
        ({"priority": "urgent"}, "priority is 'urgent'; allowed is one of low, normal, high"),
        ({"storage": ("tape",)}, "storage is .*allowed is of parallel-file-system, local-nvme, object-store"),
        ({"storage": ("local-nvme",)}, "scratch_gib is 0; allowed is 1 or more"),
        ({"latest_finish": "06:30"}, "latest_finish is '06:30'; allowed is a time of day"),
        ({"may_move_to": ("WEST",)}, "may_move_to is .*pairs of"),
        ({"team": "a team of people"}, "team is 'a team of people'"),
    ],
)
def test_a_quantity_that_is_none_is_refused_by_its_name(expected, words):
    with pytest.raises(NeedsError, match=words):
        Needs(**expected)


def test_a_tag_carries_the_needs_and_is_empty_for_the_usual_ones():
    assert Needs.from_json(MANY.to_json()) == MANY
    assert Needs().to_json() == "{}"


@given(st.integers(1, 10**6), st.integers(0, 16), st.floats(0.01, 1000), st.booleans())
def test_what_comes_out_of_a_tag_is_what_went_in(memory_mib, count, hours, is_cheap):
    needs = Needs(memory_mib=memory_mib, count=count, hours=hours, is_cheap=is_cheap)
    assert Needs.from_json(needs.to_json()) == needs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", r"there is no need \[\]"),
        ('{"gpus": 1}', "there is no need gpus .there is: cpu_millicores, memory_mib"),
        ('{"latest_finish": "noon"}', "latest_finish is 'noon'"),
        ('{"latest_finish": "06:30+09:00"}', "allowed is a time of day in UTC without an offset"),
        ('{"count": "1"}', "count is '1'"),
    ],
)
def test_a_tag_that_tells_no_needs_is_refused(text, words):
    with pytest.raises(NeedsError, match=words):
        Needs.from_json(text)
