"""A placement problem as a mixed-integer programme: choices, copies of data, times, quotas, power.

One binary column for each option of each asset. Copies are counted between classes of regions with equal lines
(`lines.py`), once for each copy and destination. Times are linear: an asset ends after its inputs' ends, their
transfers and its own duration; no row needs a large constant. The power of a site is bounded for every order in which
steps may run: assets that can run at the same time form an antichain of the graph, and by Dilworth's theorem the
heaviest antichain is the least flow that covers every asset with its power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sinet_pipelines.placement.highs import Programme, sum_of
from sinet_pipelines.placement.lines import classes_of
from sinet_pipelines.placement.policies import Policy
from sinet_pipelines.placement.problem import Asset, Edge, Problem

SCALE = 1e-3  # the objective is in thousandths of a dollar: figures near 1 are what floats keep best
SECOND_MS = 1000
Terms = list[tuple[int, float]]


@dataclass
class PlacementProgramme:
    """The programme of a problem under construction.

    Attributes:
        problem: the problem.
        policy: what is minimised, unless `minimises_finish`.
        kept: numbers of the options of each asset that may be chosen.
        minimises_finish: whether the end of the plan is minimised, in seconds.
        finish_ms: the latest end of the plan; None for any.
        bound: the most that a plan may count under another policy; None for any.
        programme: its columns and rows.
        choices: the column of each asset and option.
        bounded: what each column counts under the policy of the bound.
    """

    problem: Problem
    policy: Policy
    kept: Mapping[str, Sequence[int]]
    minimises_finish: bool = False
    finish_ms: int | None = None
    bound: tuple[Policy, int] | None = None
    programme: Programme = field(default_factory=Programme)
    choices: dict[str, dict[int, int]] = field(default_factory=dict)
    bounded: dict[int, float] = field(default_factory=dict)

    def build(self) -> Programme:
        """The programme with all columns and rows."""
        for asset in self.problem.assets:
            self._add_choices(asset)
        for edge in self.problem.edges:
            if edge.forbidden:
                self._forbid(edge)
        if not self.minimises_finish:
            for asset in self.problem.assets:
                self._count_copies(asset)
        if self.bound is not None and self.bounded:
            self.programme.row(self.bounded, upper=self.bound[1] * SCALE)
        self._add_times()
        self._add_quotas()
        for cap in self.problem.power_caps:
            self._cap_power(cap.region, cap.watts)
        return self.programme

    def chosen(self, values: Sequence[float]) -> dict[str, int]:
        """The chosen option of each asset in a solution."""
        return {name: max(columns, key=lambda one: values[columns[one]]) for name, columns in self.choices.items()}

    @cached_property
    def _classes(self) -> dict[str, int]:
        options = [one.options[number] for one in self.problem.assets for number in self.kept[one.name]]
        return classes_of(self.problem, sorted({one.region for one in options}))

    @cached_property
    def _regions(self) -> dict[str, tuple[str, ...]]:
        return {
            one.name: tuple(dict.fromkeys(one.options[number].region for number in self.kept[one.name]))
            for one in self.problem.assets
        }

    @cached_property
    def _moves(self) -> dict[tuple[str, str], tuple[dict[str, int], dict[tuple[int, int], int]]]:
        return {}

    def _in(self, name: str, regions: Sequence[str]) -> Terms:
        """The choices of an asset in some regions."""
        options = self.problem.by_name[name].options
        return [(column, 1.0) for number, column in self.choices[name].items() if options[number].region in regions]

    def _add_choices(self, asset: Asset) -> None:
        columns = self.choices[asset.name] = {}
        for number in self.kept[asset.name]:
            counted = 0.0 if self.minimises_finish else self.policy.of_option(asset.options[number]) * SCALE
            columns[number] = self.programme.column(counted, upper=1.0, is_integer=True)
            if self.bound is not None:
                self._add_bounded(columns[number], self.bound[0].of_option(asset.options[number]) * SCALE)
        self.programme.row(dict.fromkeys(columns.values(), 1.0), lower=1.0, upper=1.0)

    def _forbid(self, edge: Edge) -> None:
        for origin in self._regions[edge.source]:
            barred = [one for one in self._regions[edge.target] if (origin, one) in edge.forbidden]
            if barred:
                self.programme.row(sum_of(self._in(edge.source, [origin]), self._in(edge.target, barred)), upper=1.0)

    def _counted(self, source: Asset, origin: str, target: str) -> float:
        return self.policy.of_copy(self.problem, source, origin, target) * SCALE

    def _is_counted(self, source: Asset, origin: str, target: str) -> bool:
        """Whether a copy counts by the objective or by the bound."""
        policies = [self.policy] if self.bound is None else [self.policy, self.bound[0]]
        return any(one.of_copy(self.problem, source, origin, target) for one in policies)

    def _count(self, terms: Terms, source: Asset, origin: str, target: str) -> None:
        """Counts a copy with columns that are 1 where it is made."""
        for column, value in terms:
            self.programme.costs[column] += self._counted(source, origin, target) * value
            if self.bound is not None:
                counted = self.bound[0].of_copy(self.problem, source, origin, target) * SCALE
                self._add_bounded(column, counted * value)

    def _add_bounded(self, column: int, counted: float) -> None:
        if counted:
            self.bounded[column] = self.bounded.get(column, 0.0) + counted

    def _count_copies(self, source: Asset) -> None:
        """Counts the copies of an asset's data, once for each destination."""
        names = dict.fromkeys(edge.target for edge in self.problem.outgoing[source.name])
        origins = self._regions[source.name]
        readers = [name for name in names if len(self._regions[name]) > 1]
        certain = dict.fromkeys(self._regions[name][0] for name in names if len(self._regions[name]) == 1)
        for region in certain:
            for origin in origins:
                self._count(self._in(source.name, [origin]), source, origin, region)
        regions = [
            one for one in dict.fromkeys(r for name in readers for r in self._regions[name]) if one not in certain
        ]
        if not any(self._is_counted(source, origin, region) for origin in origins for region in regions):
            return
        if len(origins) == 1:
            self._copies_of_pinned(source, origins[0], readers, regions)
        elif len(readers) == 1 and not certain:
            for (one, other), column in self._edge_moves(source.name, readers[0])[1].items():
                self._count([(column, 1.0)], source, *self._pair(one, other))
        else:
            self._shared_copies(source, readers, regions, certain=list(certain))

    def _copies_of_pinned(self, source: Asset, origin: str, readers: Sequence[str], regions: Sequence[str]) -> None:
        for region in regions:
            there = [name for name in readers if region in self._regions[name]]
            if not self._is_counted(source, origin, region):
                continue
            if len(there) == 1:
                self._count(self._in(there[0], [region]), source, origin, region)
                continue
            copy = self.programme.column(upper=1.0)
            self._count([(copy, 1.0)], source, origin, region)
            for name in there:
                self.programme.row(sum_of([(copy, 1.0)], _negative(self._in(name, [region]))), lower=0.0)

    def _shared_copies(
        self, source: Asset, readers: Sequence[str], regions: Sequence[str], *, certain: Sequence[str]
    ) -> None:
        """Copies that several readers share: a column for each destination and class of origins."""
        groups = self._grouped(self._regions[source.name])
        copies: dict[tuple[str, int], int] = {}
        for region in regions:
            for group, origins in groups.items():
                others = [one for one in origins if one != region]
                if others:
                    column = self.programme.column(upper=1.0)
                    self._count([(column, 1.0)], source, others[0], region)
                    copies[region, group] = column
                    here = self._in(source.name, others)
                    self.programme.row(sum_of([(column, -1.0)], here), lower=0.0)
        for name in readers:
            for region in self._regions[name]:
                if region not in certain:
                    made = [(copies[region, group], 1.0) for group in groups if (region, group) in copies]
                    here = self._in(source.name, [region])
                    self.programme.row(sum_of(made, here, _negative(self._in(name, [region]))), lower=0.0)

    def _grouped(self, regions: Sequence[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for region in regions:
            found.setdefault(self._classes[region], []).append(region)
        return found

    def _pair(self, one: int, other: int) -> tuple[str, str]:
        """Two different regions of two classes: all such pairs have equal lines."""
        members = self._members
        return next((a, b) for a in members[one] for b in members[other] if a != b)

    @cached_property
    def _members(self) -> dict[int, list[str]]:
        return self._grouped(list(self._classes))

    def _edge_moves(self, source: str, target: str) -> tuple[dict[str, int], dict[tuple[int, int], int]]:
        """Columns of an edge: whether both assets are in a region, and whether data move from a class to another."""
        if (source, target) in self._moves:
            return self._moves[source, target]
        here, there = self._regions[source], self._regions[target]
        stays = {region: self.programme.column(upper=1.0) for region in here if region in there}
        origins, targets = self._grouped(here), self._grouped(there)
        moves = {
            (one, other): self.programme.column(upper=1.0)
            for one in origins
            for other in targets
            if any(a != b for a in origins[one] for b in targets[other])
        }
        for region, column in stays.items():
            for name in (source, target):
                self.programme.row(sum_of([(column, -1.0)], self._in(name, [region])), lower=0.0)
        for end, groups, name in ((0, origins, source), (1, targets, target)):
            for group, regions in groups.items():
                leaving = [(stays[region], -1.0) for region in regions if region in stays]
                leaving += [(column, -1.0) for pair, column in moves.items() if pair[end] == group]
                self.programme.row(sum_of(self._in(name, regions), leaving), lower=0.0, upper=0.0)
        self._moves[source, target] = stays, moves
        return stays, moves

    def _add_times(self) -> None:
        bound = {one.name: one.latest_ms for one in self.problem.assets if one.latest_ms is not None}
        is_whole = self.minimises_finish or self.finish_ms is not None
        if not bound and not is_whole:
            return
        timed = {one.name: None for one in self.problem.assets} if is_whole else _upstream(self.problem, bound)
        last = self.programme.column(1.0 if self.minimises_finish else 0.0) if is_whole else None
        if last is not None and self.finish_ms is not None:
            self.programme.uppers[last] = self.finish_ms / SECOND_MS
        ends: dict[str, int] = {}
        for asset in self.problem.ordered:
            if asset.name not in timed:
                continue
            latest = bound.get(asset.name)
            end = self.programme.column() if latest is None else self.programme.column(upper=latest / SECOND_MS)
            ends[asset.name] = end
            own = [
                (column, -(asset.options[number].duration_ms + asset.options[number].wait_ms) / SECOND_MS)
                for number, column in self.choices[asset.name].items()
            ]
            self.programme.row(sum_of([(end, 1.0)], own), lower=0.0)
            for edge in self.problem.incoming[asset.name]:
                if edge.is_order:
                    took = _negative(self._transfer(edge))
                    self.programme.row(sum_of([(end, 1.0), (ends[edge.source], -1.0)], own, took), lower=0.0)
            if last is not None:
                self.programme.row({last: 1.0, end: -1.0}, lower=0.0)

    def _transfer(self, edge: Edge) -> Terms:
        """The seconds of a transfer on an edge."""
        source, here, there = self.problem.by_name[edge.source], self._regions[edge.source], self._regions[edge.target]
        pairs = [(a, b) for a in here for b in there]
        if not any(self.problem.copy_ms(source, a, b) for a, b in pairs):
            return []
        if len(here) == 1 or len(there) == 1:
            name, at = (edge.target, 1) if len(here) == 1 else (edge.source, 0)
            return [
                (column, self.problem.copy_ms(source, *pair) / SECOND_MS)
                for pair in pairs
                for column, _ in self._in(name, [pair[at]])
            ]
        moves = self._edge_moves(edge.source, edge.target)[1]
        return [
            (column, self.problem.copy_ms(source, *self._pair(one, other)) / SECOND_MS)
            for (one, other), column in moves.items()
        ]

    def _add_quotas(self) -> None:
        for quota in self.problem.quotas:
            used = [
                (column, asset.options[number].unit_ms / SECOND_MS)
                for asset in self.problem.assets
                for number, column in self.choices[asset.name].items()
                if quota.counts(asset, asset.options[number])
            ]
            if used:
                self.programme.row(dict(used), upper=quota.unit_ms / SECOND_MS)

    def _cap_power(self, region: str, watts: int) -> None:
        flows = {(edge.source, edge.target): self.programme.column() for edge in self.problem.edges if edge.is_order}
        sources: Terms = []
        for asset in self.problem.assets:
            begins, ends = self.programme.column(), self.programme.column()
            sources.append((begins, 1.0))
            enters = [(flows[e.source, asset.name], 1.0) for e in self.problem.incoming[asset.name] if e.is_order]
            leaves = [(flows[asset.name, e.target], -1.0) for e in self.problem.outgoing[asset.name] if e.is_order]
            inside = dict([(begins, 1.0), *enters])
            self.programme.row({**inside, **dict(leaves), ends: -1.0}, lower=0.0, upper=0.0)
            drawn = [
                (column, -float(asset.options[number].power_w))
                for number, column in self.choices[asset.name].items()
                if asset.options[number].region == region and asset.options[number].power_w
            ]
            if drawn:
                self.programme.row({**inside, **dict(drawn)}, lower=0.0)
        self.programme.row(dict(sources), upper=float(watts))


def _negative(terms: Terms) -> Terms:
    return [(column, -value) for column, value in terms]


def _upstream(problem: Problem, names: Mapping[str, int]) -> dict[str, None]:
    """These assets and all that they start after."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += [edge.source for edge in problem.incoming[name] if edge.is_order]
    return found
