"""Regions are grouped only where every pair of them has equal lines, so that a pair stands for its classes."""

import random

import pytest

from sinet_pipelines.placement.lines import classes_of
from sinet_pipelines.placement.problem import Line, Problem

REGIONS = ("A", "B", "C", "D", "E")


def test_regions_with_equal_lines_are_one_class_and_an_irregular_one_is_its_own():
    lines = {(a, b): Line(10, 5, 1) for a in REGIONS for b in REGIONS if a != b}
    assert set(classes_of(Problem((), lines=lines), REGIONS).values()) == {0}
    one_way = {**lines, ("A", "B"): Line(11, 5, 1)}
    found = classes_of(Problem((), lines=one_way), REGIONS)
    assert found["A"] != found["B"]
    assert found["C"] == found["D"] == found["E"]


@pytest.mark.parametrize("seed", range(20))
def test_all_pairs_of_two_classes_have_the_same_line(seed):
    draw = random.Random(seed)
    prices = [draw.choice([10, 10, 10, 20]) for _ in range(25)]
    lines = {
        (a, b): Line(prices[5 * at + to], 5, 1)
        for at, a in enumerate(REGIONS)
        for to, b in enumerate(REGIONS)
        if a != b and draw.random() < 0.95
    }
    found = classes_of(Problem((), lines=lines), REGIONS)
    for a in REGIONS:
        for b in REGIONS:
            alike = {
                lines.get((c, d))
                for c in REGIONS
                for d in REGIONS
                if c != d and found[c] == found[a] and found[d] == found[b]
            }
            assert a == b or len(alike) == 1
