"""Groups regions whose lines cost and last the same, so that a programme counts copies between groups, not regions."""

from collections.abc import Sequence

from sinet_pipelines.placement.problem import Problem


def classes_of(problem: Problem, regions: Sequence[str]) -> dict[str, int]:
    """The class of each region; regions of one class have equal lines with every region, and among themselves.

    Args:
        problem: with the lines.
        regions: to group; where lines are irregular each is a class of its own.
    """
    groups: list[list[str]] = []
    for region in regions:
        for group in groups:
            if all(_are_alike(problem, region, other, regions) for other in group) and _is_even(
                problem, [*group, region]
            ):
                group.append(region)
                break
        else:
            groups.append([region])
    return {region: number for number, group in enumerate(groups) for region in group}


def _are_alike(problem: Problem, one: str, other: str, regions: Sequence[str]) -> bool:
    lines = problem.lines
    return all(
        lines.get((one, third)) == lines.get((other, third)) and lines.get((third, one)) == lines.get((third, other))
        for third in regions
        if third not in (one, other)
    )


def _is_even(problem: Problem, group: Sequence[str]) -> bool:
    """Whether all lines within a group are equal."""
    inside = [problem.lines.get((a, b)) for a in group for b in group if a != b]
    return all(line == inside[0] for line in inside)
