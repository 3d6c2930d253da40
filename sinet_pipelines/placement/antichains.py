"""The steps that can run at the same time and weigh most: a heaviest antichain of the graph.

By Dilworth's theorem for weights it weighs as much as the fewest chains that cover each step as often as it weighs:
the sum of all weights less the largest flow from steps to steps after them (Fulkerson, "Note on Dilworth's
decomposition theorem for partially ordered sets", Proceedings of the AMS 7, 1956). The flow is computed by shortest
ways in phases (Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation", Soviet
Mathematics Doklady 11, 1970).
"""

from collections import deque
from collections.abc import Iterable, Mapping

Arcs = list[list[int]]  # of each node, the numbers of its arcs; arc n ^ 1 goes back


def heaviest_antichain(weights: Mapping[str, int], after: Mapping[str, Iterable[str]]) -> int:
    """The largest sum of weights of steps of which none is after another one.

    Args:
        weights: of the steps, 0 or more.
        after: the steps directly after each step, of these and others; without a cycle.

    >>> heaviest_antichain({"a": 3, "b": 2, "c": 2}, {"a": ["b", "c"]})
    4
    """
    names = dict.fromkeys([*weights, *after, *(other for others in after.values() for other in others)])
    leaves = {name: 2 + 2 * number for number, name in enumerate(names)}  # the node where a chain leaves a step
    network = _Network(2 + 2 * len(names))
    total = sum(weights.values())
    for name, node in leaves.items():
        network.add(0, node, weights.get(name, 0))
        network.add(node + 1, 1, weights.get(name, 0))
        network.add(node + 1, node, total)  # a chain may skip a step
        for other in after.get(name, ()):
            network.add(node, leaves[other] + 1, total)
    return total - network.largest_flow(0, 1)


class _Network:
    def __init__(self, nodes: int) -> None:
        self.arcs: Arcs = [[] for _ in range(nodes)]
        self.ends: list[int] = []
        self.left: list[int] = []

    def add(self, node: int, other: int, capacity: int) -> None:
        """Adds an arc and its way back."""
        for one, end, left in ((node, other, capacity), (other, node, 0)):
            self.arcs[one].append(len(self.ends))
            self.ends.append(end)
            self.left.append(left)

    def largest_flow(self, source: int, sink: int) -> int:
        """The largest flow from a node to another one."""
        total = 0
        while (levels := self._levels(source))[sink] >= 0:
            tried = [0] * len(self.arcs)
            while amount := self._push(source, sink, levels, tried):
                total += amount
        return total

    def _levels(self, source: int) -> list[int]:
        """The number of arcs from the source to each node; -1 where nothing more can flow to it."""
        levels = [-1] * len(self.arcs)
        levels[source] = 0
        waiting = deque([source])
        while waiting:
            node = waiting.popleft()
            for arc in self.arcs[node]:
                end = self.ends[arc]
                if self.left[arc] and levels[end] < 0:
                    levels[end] = levels[node] + 1
                    waiting.append(end)
        return levels

    def _push(self, source: int, sink: int, levels: list[int], tried: list[int]) -> int:
        """Lets as much as possible flow along one shortest way; 0 where there is none."""
        way: list[int] = []
        node = source
        while node != sink:
            if tried[node] == len(self.arcs[node]):
                if not way:
                    return 0
                node = self.ends[way.pop() ^ 1]
                tried[node] += 1
                continue
            arc = self.arcs[node][tried[node]]
            if self.left[arc] and levels[self.ends[arc]] == levels[node] + 1:
                way.append(arc)
                node = self.ends[arc]
            else:
                tried[node] += 1
        amount = min(self.left[arc] for arc in way)
        for arc in way:
            self.left[arc] -= amount
            self.left[arc ^ 1] += amount
        return amount
